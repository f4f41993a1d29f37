"""Loads and stores of several bytes at any place of a uint8 array, for use inside numba kernels.

numba indexes whole elements, and looks at each index whether it is negative. These do neither: the caller keeps
`index` and `index + width` within the array.
"""

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]  # it has no types
from numba import types
from numba.extending import intrinsic


def _load(result: Any) -> Any:
    def load(typing_context: Any, data: Any, index: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            array = context.make_array(signature.args[0])(context, builder, args[0])
            first = builder.gep(array.data, [args[1]])
            return builder.load(builder.bitcast(first, context.get_value_type(result).as_pointer()), align=1)

        return result(types.Array(types.uint8, 1, "C", readonly=data.mutable is False), types.int64), generate

    return intrinsic(load)


def _store(kind: Any) -> Any:
    def store(typing_context: Any, data: Any, index: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            array = context.make_array(signature.args[0])(context, builder, args[0])
            first = builder.gep(array.data, [args[1]])
            builder.store(args[2], builder.bitcast(first, context.get_value_type(kind).as_pointer()), align=1)
            return context.get_dummy_value()

        return types.void(types.Array(types.uint8, 1, "C"), types.int64, kind), generate

    return intrinsic(store)


def _prefetch(typing_context: Any, data: Any, index: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, args[0])
        place = builder.gep(array.data, [args[1]])
        word = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [place.type, word, word, word])
        function = builder.module.declare_intrinsic("llvm.prefetch", [place.type], kind)
        builder.call(function, [place, word(0), word(3), word(1)])  # to read, to keep, data
        return context.get_dummy_value()

    return types.void(types.Array(types.uint8, 1, "C", readonly=data.mutable is False), types.int64), generate


load8, load16, load32, load64 = (_load(t) for t in (types.uint8, types.uint16, types.uint32, types.uint64))
store32, store64 = _store(types.uint32), _store(types.uint64)
prefetch: Any = intrinsic(_prefetch)  # the cache line with that byte, which is read soon
