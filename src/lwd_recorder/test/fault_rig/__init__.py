"""What the fault suite is made of: processes to kill, disks that fail, a store's connection that misbehaves."""
