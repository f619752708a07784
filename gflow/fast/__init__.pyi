from gflow.fast.jit import installed as installed
