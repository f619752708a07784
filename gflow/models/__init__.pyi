from gflow.models.activations import Activation as Activation
from gflow.models.attention import Attention as Attention
from gflow.models.completed import (
    AutodiffModel as AutodiffModel,
    completed as completed,
)
from gflow.models.convolutional import ConvolutionalNetwork as ConvolutionalNetwork
from gflow.models.diagonal import (
    AffineModel as AffineModel,
    DeepDiagonal as DeepDiagonal,
    ProductToy as ProductToy,
)
from gflow.models.direct import DirectMatrix as DirectMatrix
from gflow.models.factorization import Factorization as Factorization
from gflow.models.networks import TanhNetwork as TanhNetwork
from gflow.models.protocol import Model as Model
from gflow.models.starts import (
    balanced_start as balanced_start,
    identity_start as identity_start,
)
from gflow.models.symmetric import SymmetricFactorization as SymmetricFactorization
