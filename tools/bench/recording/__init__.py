"""The recorder under load: a robot's streams from another process, the recorder's own CPU and memory, and its bags."""
