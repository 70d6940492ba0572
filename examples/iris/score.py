"""An ordinary Azure ML scoring script: `init` once per process, `run` once per request."""

import json
import os
from pathlib import Path

import joblib
from sklearn.datasets import load_iris


def init() -> None:
    global model, species
    folder = Path(os.environ.get("AZUREML_MODEL_DIR", Path(__file__).parent / "models" / "blue"))
    path = folder / "model.pkl"
    if not path.exists():
        raise FileNotFoundError(f"{path} isn't there: run `python train.py` first")
    model = joblib.load(path)
    species = load_iris().target_names


def run(raw_data: str) -> dict[str, list[str]]:
    """`{"data": [[sepal length, sepal width, petal length, petal width], ...]}`, in centimetres."""
    measured = json.loads(raw_data)["data"]
    return {"species": [str(species[number]) for number in model.predict(measured)]}
