"""What ``pyproject.toml`` cannot say: ``configs/`` is installed inside of the package, where no other package has a folder."""

from setuptools import find_namespace_packages, find_packages, setup

configs = ["attention.configs", *(f"attention.configs.{name}" for name in find_namespace_packages("configs"))]
setup(packages=[*find_packages(include=["attention", "attention.*"]), *configs], package_dir={"attention.configs": "configs"})
