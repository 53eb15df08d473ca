"""Linear maps in a float graph: how two become one."""
