"""Writes doubler.onnx: what any exporter would give you."""

import sys

import onnx
from onnx import TensorProto, helper

rows = {"x": helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 4])}
answers = {"y": helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 4])}
graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "doubler", [rows["x"]], [answers["y"]])
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), sys.argv[1])
