"""The log likelihood of a mixture from incomplete rows, as a PyTensor Op: the companion of `bayesgmm.model.likelihood`.

What hides a part of the complete data changes only how the statistics are filled. By Fisher's identity the gradient is
still that of the expected complete-data log likelihood with the statistics held fixed, with conditional moments in
them, so that one pass gives value and gradient here too. May import PyTensor and the compiled pass.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.gradient import DisconnectedType, grad_not_implemented
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.tensor.variable import TensorVariable

from bayesgmm.model.packing import PackedRows

N_DATA = len(PackedRows._fields)
NDIMS = (2, 1, 1, 2, 1, 3, 1, 3, 1, 1, 2, 3, 0)
NO_NOISE = np.array(-np.inf)
INTEGERS = ("starts", "seen", "components", "own")


class IncompleteLogLikelihood(Op):
    """Log likelihood of incomplete rows under a Gaussian mixture, and its gradient.

    Inputs: the arrays of `bayesgmm.model.packing.PackedRows`, then, float64 and in the units of the data, log_weights
    (K,), means (K, D), precision_cholesky (K, D, D), upper triangular, and log_noise (), minus infinity for no noise.

    Outputs: loglik (), and its derivatives with respect to the last four inputs. Differentiable once; parameters that
    overflow give a loglik of -inf or NaN and never an exception. The cost is O(N K D^2), and O(N K D^3) for rows with
    an error covariance of their own.
    """

    __props__ = ()

    def make_node(self, *inputs: Any) -> Apply:
        """Check dimensions and types; shapes that are known statically stay known."""
        names = (*PackedRows._fields, "log_weights", "means", "precision_cholesky", "log_noise")
        tensors = [pt.as_tensor_variable(value) for value in inputs]
        for name, value, ndim in zip(names, tensors, NDIMS, strict=True):
            dtype = "int64" if name in INTEGERS else "float64"
            if value.type.ndim != ndim or value.type.dtype != dtype:
                raise TypeError(f"`{name}` must be {dtype} of {ndim} dimensions, received {value.type}.")
        K, D = tensors[N_DATA + 1].type.shape
        outputs = [pt.tensor(shape=shape, dtype="float64") for shape in ((), (K,), (K, D), (K, D, D), ())]
        return Apply(self, tensors, outputs)

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: Sequence[Any]) -> None:
        """Run the compiled pass; it is tested against `bayesgmm.kernel.incomplete`, row by row."""
        for storage, value in zip(output_storage, numba_incomplete.incomplete_log_likelihood(*inputs), strict=True):
            storage[0] = value

    def infer_shape(self, node: Apply, input_shapes: list[tuple]) -> list[tuple]:
        """Shapes of the outputs, from those of the means."""
        K, D = input_shapes[N_DATA + 1]
        return [(), (K,), (K, D), (K, D, D), ()]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Every output depends on every input but whole numbers: the gradient too, or second derivatives were wrong."""
        return [[value.type.dtype != "int64"] * 5 for value in node.inputs]

    def pullback(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """Scale the gradient that the same node has computed.

        Raises
        ------
        NotImplementedError
            When the derivative of the gradient is asked for.
        """
        if any(not isinstance(cotangent.type, DisconnectedType) for cotangent in cotangents[1:]):
            raise NotImplementedError(
                "the mixture's log likelihood can be differentiated once: its gradient is made of the E-step's "
                "statistics, whose own derivative needs more than them. For a Hessian, difference the exact gradient."
            )
        why = "the mixture's log likelihood is differentiated with respect to its parameters, not to its rows."
        held = [
            DisconnectedType()() if inputs[i].type.dtype == "int64" else grad_not_implemented(self, i, inputs[i], why)
            for i in range(N_DATA)
        ]
        return [*held, *(cotangents[0] * gradient for gradient in outputs[1:])]


incomplete_log_likelihood_op: Any = IncompleteLogLikelihood()


def incomplete_log_likelihood(
    packed: Sequence[Any], log_weights: Any, means: Any, precision_cholesky: Any, log_noise: Any = NO_NOISE
) -> TensorVariable:
    """Log likelihood of packed incomplete rows; see `IncompleteLogLikelihood`."""
    return incomplete_log_likelihood_op(*packed, log_weights, means, precision_cholesky, log_noise)[0]


from bayesgmm.model import likelihood_incomplete_compiled as numba_incomplete  # noqa: E402  (after the class it registers)
