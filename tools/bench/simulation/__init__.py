"""What ``tools.bench.sim`` measures in processes of their own: MuJoCo takes one OpenGL backend per process."""
