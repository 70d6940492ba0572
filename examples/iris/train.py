"""Train two models on scikit-learn's iris flowers: models/blue (logistic regression), models/green (random forest).

Takes seconds, and gives the same models each time. `python train.py`
"""

from pathlib import Path

import joblib
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

MODELS = {
    "blue": LogisticRegression(max_iter=1_000),
    "green": RandomForestClassifier(n_estimators=50, random_state=0),
}


def main() -> None:
    iris = load_iris()
    split = train_test_split(iris.data, iris.target, test_size=0.3, random_state=0, stratify=iris.target)
    train_features, test_features, train_species, test_species = split
    for name, model in MODELS.items():
        model.fit(train_features, train_species)
        path = Path(__file__).parent / "models" / name / "model.pkl"
        path.parent.mkdir(parents=True, exist_ok=True)
        joblib.dump(model, path)
        print(f"{name}: accuracy {model.score(test_features, test_species):.3f}, saved to {path}")


if __name__ == "__main__":
    main()
