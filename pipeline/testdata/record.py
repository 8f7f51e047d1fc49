"""Writes a record as BackdoorBench lays it out: record.py MODEL.pt RECORD_DIR [PREFIX].

The weights are those of a TorchScript file; the images are made up.
"""
import os
import sys

import numpy as np
import torch
from PIL import Image

model, record = sys.argv[1:3]
prefix = sys.argv[3] if len(sys.argv) > 3 else ""
state = torch.jit.load(model).state_dict()
weights = type(state)((prefix + name, value) for name, value in state.items())
rng = np.random.default_rng(0)

data = {}
for index in np.arange(12):  # its elements are NumPy's numbers, as in real records
    label = int(index) % 3 + 1
    folder = f"{record}/bd_test_dataset/{label}"
    os.makedirs(folder, exist_ok=True)
    Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(f"{folder}/{index}.png")
    # The path is that of the machine where the attack ran.
    path = f"../record/elsewhere/bd_test_dataset/{label}/{index}.png"
    data[index] = {"path": path, "other_info": [0, label]}


def dataset(images):
    return {
        "bd_data_container": {"save_folder_path": "../record/elsewhere", "data_dict": images, "save_file_format": ".png"},
        "getitem_all": True,
        "getitem_all_switch": False,
        "original_index_array": np.arange(12),
        "poison_indicator": np.ones(12),
        "save_folder_path": "../record/elsewhere",
    }


torch.save(
    {
        "model_name": "preactresnet18",
        "num_classes": 10,
        "model": weights,
        "data_path": "../data/cifar10",
        "img_size": [32, 32, 3],
        "clean_data": "cifar10",
        "bd_train": dataset({}),
        "bd_test": dataset(data),
    },
    f"{record}/attack_result.pt",
)
