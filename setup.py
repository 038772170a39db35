"""Package metadata: what babyvlm_jax needs, in ranges; requirements.lock pins them."""

import pathlib
import re

from setuptools import find_packages, setup

HERE = pathlib.Path(__file__).parent
PACKAGE = (HERE / "babyvlm_jax" / "__init__.py").read_text(encoding="utf-8")

setup(
    name="babyvlm_jax",
    version=re.search('__version__ = "(.+)"', PACKAGE)[1],
    description="Infant-inspired vision-language models in JAX",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(
        include=["babyvlm_jax*", "configs*", "data_prep*", "launch*"]
    ),
    package_data={
        "": ["*.html", "*.css", "*.js", "*.txt", "*.json"],
        "launch": ["_python", "Dockerfile*", "*.sh", "slurm/*", "gke/*"],
    },
    entry_points={"console_scripts": ["babyvlm = babyvlm_jax.__main__:main"]},
    install_requires=[
        "absl-py>=2.1",
        # no wheel for Linux on ARM, where Pillow resizes
        'cykooz-resizer>=4,<5; sys_platform!="linux" or platform_machine=="x86_64"',
        "etils[epath,epy,etree]>=1.10",
        "filelock>=4.2,<5",
        "flax>=0.12.8,<0.13",
        "grain>=0.2.18,<0.3",
        "importlib_resources>=6.4",  # etils asks for it when TFDS opens its folders
        "jax>=0.10.2,<0.11",
        "jinja2>=3.1",
        "ml_collections>=1.1,<2",
        "numpy>=2.0,<3",
        "optax>=0.2.8,<0.3",
        "orbax-checkpoint>=0.12.8,<0.13",
        "pillow>=11",
        "pyarrow>=17",
        "safetensors>=0.5",
        "scipy>=1.14",
        "sentencepiece>=0.2.1,<0.3",
        "simplejpeg>=1.8,<2",
        "tensorboardX>=2.6.2,<3",
        "tensorflow-datasets>=4.9.9,<5",  # works without TensorFlow; none is imported
        "tokenizers>=0.21",
        "tqdm>=4.66",
        "urllib3>=2.2,<3",
    ],
    extras_require={
        "prep": ["av>=18.1"],
        "tpu": ["jax[tpu]>=0.10.2,<0.11"],
        "cuda": ["jax[cuda12]>=0.10.2,<0.11"],
        "captions": ["nltk>=3.9"],
        # epath opens gs:// with gcsfs, tensorboardX with what gcsfs needs
        "gcs": ["gcsfs>=2026.8.2"],
        "torch": ["torch==2.13.0", "transformers>=5,<6"],
        "test": [
            "av>=18.1",
            "hypothesis>=6.100",
            "pytest>=8.3",
            "pytest-xdist>=3.6",
            "ruff>=0.9",
        ],
    },
    classifiers=[
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
