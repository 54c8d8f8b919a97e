"""Cards of the still images: CIFAR-10, CIFAR-100, MNIST, Fashion-MNIST."""

from __future__ import annotations

from .card import Card, Citation, File

CIFAR = "https://www.cs.toronto.edu/~kriz/"
MNIST = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
FASHION = (
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
)
KRIZHEVSKY = Citation(
    "krizhevsky2009learning",
    "techreport",
    ("Alex Krizhevsky",),
    "Learning multiple layers of features from tiny images",
    "University of Toronto",
    2009,
    url=f"{CIFAR}learning-features-2009-TR.pdf",
)
CARVED = "official train and test; val is a tenth of train, fixed for ever"
TORONTO = "none stated (research data set of the University of Toronto)"


def _idx(folder: str, mirrors: tuple[str, ...], name: str, size: int, sha256: str) -> File:
    path = f"{folder}/{name}.gz"
    return File(path, tuple(f"{mirror}{name}.gz" for mirror in mirrors), size, sha256)


CIFAR10 = Card(
    name="cifar10",
    title="CIFAR-10, 32 x 32 colour images",
    kind="image",
    citation=KRIZHEVSKY,
    licence=TORONTO,
    homepage=f"{CIFAR}cifar.html",
    official={"train": 50_000, "test": 10_000},
    classes=10,
    shape=(3, 32, 32),
    steps=6,
    splits=CARVED,
    files=(
        File(
            "cifar10/cifar-10-binary.tar.gz",
            (f"{CIFAR}cifar-10-binary.tar.gz",),
            170_052_171,
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            "c32a1d4ab5d03f1284b67883e8d87530",
            unpack="cifar10",
            gives="cifar10/cifar-10-batches-bin",
        ),
    ),
    listed={
        "cifar-10-batches-py/data_batch_1": "c99cafc152244af753f735de768cd75f",
        "cifar-10-batches-py/data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "cifar-10-batches-py/data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "cifar-10-batches-py/data_batch_4": "634d18415352ddfa80567beed471001a",
        "cifar-10-batches-py/data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "cifar-10-batches-py/test_batch": "40351d587109b95175f43aff81a1287e",
    },
)

CIFAR100 = Card(
    name="cifar100",
    title="CIFAR-100, 32 x 32 colour images of 100 classes in 20 groups",
    kind="image",
    citation=KRIZHEVSKY,
    licence=TORONTO,
    homepage=f"{CIFAR}cifar.html",
    official={"train": 50_000, "test": 10_000},
    classes=100,
    shape=(3, 32, 32),
    steps=6,
    splits=CARVED,
    files=(
        File(
            "cifar100/cifar-100-binary.tar.gz",
            (f"{CIFAR}cifar-100-binary.tar.gz",),
            168_513_733,
            "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
            "03b5dce01913d631647c71ecec9e9cb8",
            unpack="cifar100",
            gives="cifar100/cifar-100-binary",
        ),
    ),
    listed={
        "cifar-100-python/train": "16019d7e3df5f24257cddd939b257f8d",
        "cifar-100-python/test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
    },
)

MNIST_CARD = Card(
    name="mnist",
    title="MNIST, 28 x 28 grey images of handwritten digits",
    kind="image",
    citation=Citation(
        "lecun1998gradient",
        "article",
        ("Yann LeCun", "Léon Bottou", "Yoshua Bengio", "Patrick Haffner"),
        "Gradient-based learning applied to document recognition",
        "Proceedings of the IEEE 86(11), 2278-2324",
        1998,
        "10.1109/5.726791",
    ),
    licence="CC BY-SA 3.0",
    homepage="http://yann.lecun.com/exdb/mnist/",
    official={"train": 60_000, "test": 10_000},
    classes=10,
    shape=(1, 28, 28),
    steps=6,
    splits=CARVED,
    files=(
        _idx(
            "mnist", MNIST, "train-images-idx3-ubyte", 9_912_422,
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        ),
        _idx(
            "mnist", MNIST, "train-labels-idx1-ubyte", 28_881,
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        ),
        _idx(
            "mnist", MNIST, "t10k-images-idx3-ubyte", 1_648_877,
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        ),
        _idx(
            "mnist", MNIST, "t10k-labels-idx1-ubyte", 4_542,
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
    ),
)  # fmt: skip

FASHION_MNIST = Card(
    name="fashion_mnist",
    title="Fashion-MNIST, 28 x 28 grey images of clothes",
    kind="image",
    citation=Citation(
        "xiao2017fashion",
        "misc",
        ("Han Xiao", "Kashif Rasul", "Roland Vollgraf"),
        "Fashion-MNIST: a novel image dataset for benchmarking machine learning algorithms",
        "arXiv:1708.07747",
        2017,
        "10.48550/arXiv.1708.07747",
    ),
    licence="MIT",
    homepage="https://github.com/zalandoresearch/fashion-mnist",
    official={"train": 60_000, "test": 10_000},
    classes=10,
    shape=(1, 28, 28),
    steps=6,
    splits=CARVED,
    files=(
        _idx(
            "fashion_mnist", FASHION, "train-images-idx3-ubyte", 26_421_880,
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        ),
        _idx(
            "fashion_mnist", FASHION, "train-labels-idx1-ubyte", 29_515,
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        ),
        _idx(
            "fashion_mnist", FASHION, "t10k-images-idx3-ubyte", 4_422_102,
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        ),
        _idx(
            "fashion_mnist", FASHION, "t10k-labels-idx1-ubyte", 5_148,
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        ),
    ),
)  # fmt: skip

CARDS = (CIFAR10, CIFAR100, MNIST_CARD, FASHION_MNIST)
