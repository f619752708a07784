from gflow.certify import (
    Certificate as Certificate,
    FlintMissing as FlintMissing,
    certificates as certificates,
    certified_critical_point as certified_critical_point,
)
from gflow.completions import (
    Completion as Completion,
    InaccurateSolution as InaccurateSolution,
    RankBracket as RankBracket,
    RankFit as RankFit,
    minimum_nuclear_norm as minimum_nuclear_norm,
    minimum_rank as minimum_rank,
    minimum_trace as minimum_trace,
    nearest_interpolant as nearest_interpolant,
    rank_fit as rank_fit,
)
from gflow.connectivity import (
    Component as Component,
    Connectivity as Connectivity,
    Kind as Kind,
    connectivity as connectivity,
    coupling_graph as coupling_graph,
    mask_classes as mask_classes,
    observation_graph as observation_graph,
)
from gflow.critical import (
    CriticalPoint as CriticalPoint,
    NotConverged as NotConverged,
    Orbit as Orbit,
    Spectrum as Spectrum,
    classify as classify,
    critical_orbits as critical_orbits,
    find_critical_point as find_critical_point,
    hessian_spectrum as hessian_spectrum,
)
from gflow.descent import (
    AdaGrad as AdaGrad,
    Adam as Adam,
    GradientStep as GradientStep,
    HeavyBall as HeavyBall,
    LinearOptimizer as LinearOptimizer,
    Nesterov as Nesterov,
    NormalizedGradient as NormalizedGradient,
    Optimizer as Optimizer,
    Quartic as Quartic,
    SignDescent as SignDescent,
    WeightDecay as WeightDecay,
    descent as descent,
    gradient_descent as gradient_descent,
    positive_part as positive_part,
    projected_gradient as projected_gradient,
    quartic_along as quartic_along,
    svd_initialization as svd_initialization,
)
from gflow.diagnostics import (
    escape_times as escape_times,
    factor_singular_values as factor_singular_values,
    matrices as matrices,
    nuclear_norm as nuclear_norm,
    numerical_rank as numerical_rank,
    singular_values as singular_values,
)
from gflow.ensemble import FlowEnd as FlowEnd, gradient_flows as gradient_flows
from gflow.escape import (
    DegenerateEscape as DegenerateEscape,
    EscapeDirections as EscapeDirections,
    EscapeLimit as EscapeLimit,
    EscapePair as EscapePair,
    EscapeVerdict as EscapeVerdict,
    NoBlowUp as NoBlowUp,
    ResidualEscape as ResidualEscape,
    degenerate_escape as degenerate_escape,
    escape_directions as escape_directions,
    escape_limit as escape_limit,
    escape_pair as escape_pair,
    residual_escape as residual_escape,
)
from gflow.files import (
    atomic_write as atomic_write,
    read_arrays as read_arrays,
    read_matrix as read_matrix,
    read_point as read_point,
    read_sensing as read_sensing,
    write_arrays as write_arrays,
    write_matrix as write_matrix,
    write_sensing as write_sensing,
)
from gflow.flow import (
    IntegrationFailed as IntegrationFailed,
    Plateau as Plateau,
    Status as Status,
    Trajectory as Trajectory,
    end_to_end_flow as end_to_end_flow,
    end_to_end_rate as end_to_end_rate,
    gradient_flow as gradient_flow,
)
from gflow.graded import graded_flow as graded_flow
from gflow.landscape import (
    Arrow as Arrow,
    Landscape as Landscape,
    Level as Level,
    Node as Node,
    landscape as landscape,
)
from gflow.limit import (
    Chain as Chain,
    DeepSaddle as DeepSaddle,
    DeepTraversal as DeepTraversal,
    Saddle as Saddle,
    Traversal as Traversal,
    TraversalStatus as TraversalStatus,
    deep_flow as deep_flow,
    greedy_low_rank as greedy_low_rank,
    saddle_to_saddle as saddle_to_saddle,
)
from gflow.limit.symmetric import (
    SymmetricSaddle as SymmetricSaddle,
    SymmetricTraversal as SymmetricTraversal,
    symmetric_traversal as symmetric_traversal,
)
from gflow.manifolds import (
    Condensed as Condensed,
    Confinement as Confinement,
    LinearSpace as LinearSpace,
    Manifold as Manifold,
    attention_space as attention_space,
    condensed as condensed,
    confinement as confinement,
    factor_ranks as factor_ranks,
    imbalance as imbalance,
    omega as omega,
    omega_basis as omega_basis,
    omega_distance as omega_distance,
    principal_angles as principal_angles,
    split_neuron as split_neuron,
    sub_omega as sub_omega,
    transverse_curvature as transverse_curvature,
)
from gflow.models import (
    Activation as Activation,
    AffineModel as AffineModel,
    Attention as Attention,
    AutodiffModel as AutodiffModel,
    ConvolutionalNetwork as ConvolutionalNetwork,
    DeepDiagonal as DeepDiagonal,
    DirectMatrix as DirectMatrix,
    Factorization as Factorization,
    Model as Model,
    ProductToy as ProductToy,
    SymmetricFactorization as SymmetricFactorization,
    TanhNetwork as TanhNetwork,
    balanced_start as balanced_start,
    identity_start as identity_start,
)
from gflow.objective import Objective as Objective, StochasticLoss as StochasticLoss
from gflow.operators import (
    Commutation as Commutation,
    CommutingPath as CommutingPath,
    KernelElement as KernelElement,
    NormCounterexample as NormCounterexample,
    RestrictedIsometry as RestrictedIsometry,
    commuting as commuting,
    commuting_mask as commuting_mask,
    commuting_measurements as commuting_measurements,
    commuting_path as commuting_path,
    gaussian_measurements as gaussian_measurements,
    kernel_rank_one as kernel_rank_one,
    nuclear_norm_counterexample as nuclear_norm_counterexample,
    restricted_isometry as restricted_isometry,
    symmetric_dilation as symmetric_dilation,
)
from gflow.problems import (
    MatrixCompletion as MatrixCompletion,
    MatrixSensing as MatrixSensing,
    Problem as Problem,
    Regression as Regression,
    WeightedCompletion as WeightedCompletion,
    as_completion as as_completion,
    convolution_sensing as convolution_sensing,
    recall_task as recall_task,
)
from gflow.rank import (
    LinearStability as LinearStability,
    ModelRank as ModelRank,
    empirical_rank as empirical_rank,
    linear_stability as linear_stability,
    model_rank as model_rank,
    optimistic_sample_size as optimistic_sample_size,
)
from gflow.report import Report as Report, write_report as write_report
from gflow.report.explanation import Explanation as Explanation, explain as explain
from gflow.report.verification import verify as verify
from gflow.statements.claims import Claim as Claim, Finding as Finding, Verdict as Verdict
from gflow.statements.evidence import Evidence as Evidence
from gflow.statements.ledger import Ledger as Ledger, ledger as ledger
from gflow.statements.registry import register_statement as register_statement
from gflow.statements.statement import (
    Hypothesis as Hypothesis,
    Statement as Statement,
    StatementKind as StatementKind,
)
from gflow.symbolic import (
    CLOSED_FORMS as CLOSED_FORMS,
    ClosedForms as ClosedForms,
    Identity as Identity,
    SymbolicFlow as SymbolicFlow,
    decoupled_systems as decoupled_systems,
    equations_latex as equations_latex,
    equations_text as equations_text,
    general_identities as general_identities,
    identities as identities,
    symbolic_flow as symbolic_flow,
)

__all__: list[str]
__version__: str
