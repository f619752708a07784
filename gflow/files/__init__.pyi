from gflow.files.arrays import (
    read_arrays as read_arrays,
    read_point as read_point,
    write_arrays as write_arrays,
)
from gflow.files.atomic import atomic_write as atomic_write
from gflow.files.matrices import (
    read_matrix as read_matrix,
    read_sensing as read_sensing,
    write_matrix as write_matrix,
    write_sensing as write_sensing,
)
