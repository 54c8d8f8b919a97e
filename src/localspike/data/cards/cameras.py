"""Cards of what event cameras saw: N-MNIST, DVS Gesture, CIFAR10-DVS, N-Caltech101, POKER-DVS."""

from __future__ import annotations

from .card import Card, Citation, File

MENDELEY = "https://data.mendeley.com/public-files/datasets/"
FIGSHARE = "https://ndownloader.figshare.com/files/"
ORCHARD = Citation(
    "orchard2015converting",
    "article",
    ("Garrick Orchard", "Ajinkya Jayawant", "Gregory K. Cohen", "Nitish Thakor"),
    "Converting static image datasets to spiking neuromorphic datasets using saccades",
    "Frontiers in Neuroscience 9, 437",
    2015,
    "10.3389/fnins.2015.00437",
)

NMNIST = Card(
    name="nmnist",
    title="N-MNIST, digits seen by a moving event camera",
    kind="camera",
    citation=ORCHARD,
    licence="CC BY-SA 4.0",
    homepage="https://www.garrickorchard.com/datasets/n-mnist",
    official={"train": 60_000, "test": 10_000},
    classes=10,
    shape=(2, 34, 34),
    steps=30,
    splits="official train and test; val is a tenth of train, fixed for ever",
    step_ms=10,
    files=(
        File(
            "nmnist/Train.zip",
            (f"{MENDELEY}468j46mzdv/files/39c25547-014b-4137-a934-9d29fa53c7a0/file_downloaded",),
            md5="20959b8e626244a1b502305a9e6e2031",
            unpack="nmnist",
            gives="nmnist/Train",
        ),
        File(
            "nmnist/Test.zip",
            (f"{MENDELEY}468j46mzdv/files/05a4d654-7e03-4c15-bdfa-9bb2bcbea494/file_downloaded",),
            md5="69ca8762b2fe404d9b9bad1103e97832",
            unpack="nmnist",
            gives="nmnist/Test",
        ),
    ),
    parts={
        "nmnist/nmnist_1ms.npz": {"train": 5_000, "test": 1_000},
        "nmnist_1ms.npz": {"train": 5_000, "test": 1_000},
    },
)

DVS_GESTURE = Card(
    name="dvs_gesture",
    title="DVS Gesture, 11 gestures of 29 people before an event camera",
    kind="camera",
    citation=Citation(
        "amir2017low",
        "inproceedings",
        (
            "Arnon Amir", "Brian Taba", "David Berg", "Timothy Melano", "Jeffrey McKinstry",
            "Carmelo Di Nolfo", "Tapan Nayak", "Alexander Andreopoulos", "Guillaume Garreau",
            "Marcela Mendoza", "Jeff Kusnitz", "Michael Debole", "Steve Esser", "Tobi Delbruck",
            "Myron Flickner", "Dharmendra Modha",
        ),
        "A low power, fully event-based gesture recognition system",
        "IEEE Conference on Computer Vision and Pattern Recognition, 7388-7397",
        2017,
        "10.1109/CVPR.2017.781",
    ),
    licence="CC BY 4.0",
    homepage="https://research.ibm.com/interactive/dvsgesture/",
    official={"train": 1_176, "test": 288},
    classes=11,
    shape=(2, 32, 32),
    steps=20,
    splits="official lists of trials, by person; val is users 21, 22 and 23 of train",
    step_ms=75,
    files=(
        File(
            "dvs_gesture/DvsGesture.tar.gz",
            md5="8a5c71fb11e24e5ca5b11866ca6c00a1",
            unpack="dvs_gesture",
            gives="dvs_gesture/DvsGesture",
        ),
    ),
    manual="IBM gives the archive out through a web page only: "
    "https://ibm.ent.box.com/s/3hiq58ww1pbbjrinh367ykfdf60xsfm8/folder/50167556794",
)  # fmt: skip

_CIFAR10DVS = (
    ("airplane", "7712788", "0afd5c4bf9ae06af762a77b180354fdd"),
    ("automobile", "7712791", "8438dfeba3bc970c94962d995b1b9bdd"),
    ("bird", "7712794", "a9c207c91c55b9dc2002dc21c684d785"),
    ("cat", "7712812", "52c63c677c2b15fa5146a8daf4d56687"),
    ("deer", "7712815", "b6bf21f6c04d21ba4e23fc3e36c8a4a3"),
    ("dog", "7712818", "f379ebdf6703d16e0a690782e62639c3"),
    ("frog", "7712842", "cad6ed91214b1c7388a5f6ee56d08803"),
    ("horse", "7712851", "e7cbbf77bec584ffbf913f00e682782a"),
    ("ship", "7712836", "41c7bd7d6b251be82557c6cce9a7d5c9"),
    ("truck", "7712839", "89f3922fd147d9aeff89e76a2b0b70a7"),
)

CIFAR10DVS = Card(
    name="cifar10dvs",
    title="CIFAR10-DVS, CIFAR-10 images moved before an event camera",
    kind="camera",
    citation=Citation(
        "li2017cifar10dvs",
        "article",
        ("Hongmin Li", "Hanchao Liu", "Xiangyang Ji", "Guoqi Li", "Luping Shi"),
        "CIFAR10-DVS: an event-stream dataset for object classification",
        "Frontiers in Neuroscience 11, 309",
        2017,
        "10.3389/fnins.2017.00309",
    ),
    licence="see source (its page on figshare)",
    homepage="https://figshare.com/articles/dataset/CIFAR10-DVS_New/4724671",
    official={"all": 10_000},
    classes=10,
    shape=(2, 48, 48),
    steps=10,
    splits="none official; test is numbers 0 to 99 of each class, val 90 others, fixed for ever",
    step_ms=130,
    files=tuple(
        File(
            f"cifar10dvs/{name}.zip",
            (f"{FIGSHARE}{number}",),
            md5=md5,
            unpack="cifar10dvs",
            gives=f"cifar10dvs/{name}",
        )
        for name, number, md5 in _CIFAR10DVS
    ),
)

NCALTECH101 = Card(
    name="ncaltech101",
    title="N-Caltech101, Caltech-101 images seen by a moving event camera",
    kind="camera",
    citation=ORCHARD,
    licence="see source (its page on Mendeley Data)",
    homepage="https://www.garrickorchard.com/datasets/n-caltech101",
    official={"all": 8_709},
    classes=101,
    shape=(2, 48, 64),
    steps=30,
    splits="none official; test and val are a tenth of each class, in an order fixed for ever",
    step_ms=10,
    files=(
        File(
            "ncaltech101/Caltech101.zip",
            (f"{MENDELEY}cy6cvx3ryv/files/36b5c52a-b49d-4853-addb-a836a8883e49/file_downloaded",),
            md5="66201824eabb0239c7ab992480b50ba3",
            unpack="ncaltech101",
            gives="ncaltech101/Caltech101",
        ),
    ),
)

POKERDVS = Card(
    name="pokerdvs",
    title="POKER-DVS, pips of playing cards browsed before an event camera",
    kind="camera",
    citation=Citation(
        "serrano2015poker",
        "article",
        ("Teresa Serrano-Gotarredona", "Bernabé Linares-Barranco"),
        "Poker-DVS and MNIST-DVS. Their history, how they were made, and other details",
        "Frontiers in Neuroscience 9, 481",
        2015,
        "10.3389/fnins.2015.00481",
    ),
    licence="non-commercial, with credit (says its page; no licence by name)",
    homepage="http://www2.imse-cnm.csic.es/caviar/POKERDVS.html",
    official={"train": 48, "test": 20},
    classes=4,
    shape=(2, 35, 35),
    steps=30,
    splits="train and test of the pips distribution; val is a tenth of train, fixed for ever",
    step_ms=1,
    manual="the loader reads pokerdvs.npz, the 48 + 20 cut recordings of the distribution known "
    "as pips_train and pips_test, stored as arrays {train,test}_{t_us,x,y,p,offsets,labels}",
    files=(File("pokerdvs/pokerdvs.npz"),),
)

CARDS = (NMNIST, DVS_GESTURE, CIFAR10DVS, NCALTECH101, POKERDVS)
