"""What exists: GPUs and models, and how a model lies in a GPU's memory.

`gpu("h100")` reads a data sheet from `data/gpus`, `model("meta-llama/Llama-3.1-8B")` the shape of a model from
`data/models`, from the configurations aiconfigurator-core ships, or from any Hugging Face `config.json` on disk.
"""

from simulators.inference.catalogue.gpus import Gpu, gpu, gpu_file, gpu_names
from simulators.inference.catalogue.memory import (
    check_parallelism,
    kv_blocks,
    kv_bytes_per_token_per_gpu,
    parameters_per_gpu,
    weight_bytes_per_gpu,
)
from simulators.inference.catalogue.models import Model, model, model_files, model_names
from simulators.inference.catalogue.precision import Precision, bytes_per_parameter

__all__ = [
    "Gpu",
    "Model",
    "Precision",
    "bytes_per_parameter",
    "check_parallelism",
    "gpu",
    "gpu_file",
    "gpu_names",
    "kv_blocks",
    "kv_bytes_per_token_per_gpu",
    "model",
    "model_files",
    "model_names",
    "parameters_per_gpu",
    "weight_bytes_per_gpu",
]
