"""Cards of what was heard: embedded keywords, Speech Commands, SHD, SSC."""

from __future__ import annotations

from .card import Card, Citation, File

ZENKE = "https://zenkelab.org/datasets/"
MIRROR = "https://compneuro.net/datasets/"
HEIDELBERG = Citation(
    "cramer2022heidelberg",
    "article",
    ("Benjamin Cramer", "Yannik Stradmann", "Johannes Schemmel", "Friedemann Zenke"),
    "The Heidelberg spiking data sets for the systematic evaluation of spiking neural networks",
    "IEEE Transactions on Neural Networks and Learning Systems 33(7), 2744-2757",
    2022,
    "10.1109/TNNLS.2020.3044364",
)
WARDEN = Citation(
    "warden2018speech",
    "misc",
    ("Pete Warden",),
    "Speech Commands: a dataset for limited-vocabulary speech recognition",
    "arXiv:1804.03209",
    2018,
    "10.48550/arXiv.1804.03209",
)
COMPNEURO = "https://compneuro.net/posts/2019-spiking-heidelberg-digits"


def _heidelberg(folder: str, name: str, md5: str) -> File:
    urls = (f"{ZENKE}{name}.zip", f"{MIRROR}{name}.zip")
    return File(f"{folder}/{name}.zip", urls, md5=md5, unpack=folder, gives=f"{folder}/{name}")


KEYWORDS = Card(
    name="keywords",
    title="Ten spoken keywords, Google Speech Commands v0.02 as events of 40 bands (embedded)",
    kind="sound",
    citation=WARDEN,
    licence="CC BY 4.0",
    homepage="https://arxiv.org/abs/1804.03209",
    official={"all": 2_055},
    classes=10,
    shape=(80,),
    steps=50,
    splits="by speaker: nobody of test is heard in train or val",
    step_ms=20,
    halves=True,
)

SPEECH_COMMANDS = Card(
    name="speech_commands",
    title="Speech Commands v0.02, 35 words of one second (ten by default)",
    kind="sound",
    citation=WARDEN,
    licence="CC BY 4.0",
    homepage="https://arxiv.org/abs/1804.03209",
    official={"train": 84_843, "val": 9_981, "test": 11_005},
    classes=10,
    shape=(80,),
    steps=50,
    splits="official lists, by speaker",
    step_ms=20,
    halves=True,
    files=(
        File(
            "speech_commands/speech_commands_v0.02.tar.gz",
            (
                "https://storage.googleapis.com/download.tensorflow.org/data/"
                "speech_commands_v0.02.tar.gz",
                "http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz",
            ),
            2_428_923_189,
            "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
            unpack="speech_commands",
            gives="speech_commands/validation_list.txt",
        ),
    ),
    parts={"speech_commands/index.json": {"all": 2_055}},
)

SHD = Card(
    name="shd",
    title="Spiking Heidelberg Digits, spoken digits on 700 cochlear channels",
    kind="sound",
    citation=HEIDELBERG,
    licence="CC BY 4.0",
    homepage=COMPNEURO,
    official={"train": 8_156, "test": 2_264},
    classes=20,
    shape=(700,),
    steps=100,
    splits="official train and test, which share speakers (two of 12 are in test only); val is "
    "whole speakers of train",
    step_ms=14,
    files=(
        _heidelberg("shd", "shd_train.h5", "f3252aeb598ac776c1b526422d90eecb"),
        _heidelberg("shd", "shd_test.h5", "1503a5064faa34311c398fb0a1ed0a6f"),
    ),
)

SSC = Card(
    name="ssc",
    title="Spiking Speech Commands, 35 words on 700 cochlear channels",
    kind="sound",
    citation=HEIDELBERG,
    licence="CC BY 4.0",
    homepage=COMPNEURO,
    official={"train": 75_466, "val": 9_981, "test": 20_382},
    classes=35,
    shape=(700,),
    steps=100,
    splits="official train, valid and test",
    step_ms=10,
    files=(
        _heidelberg("ssc", "ssc_train.h5", "d102be95e7144fcc0553d1f45ba94170"),
        _heidelberg("ssc", "ssc_valid.h5", "b4eee3516a4a90dd0c71a6ac23a8ae43"),
        _heidelberg("ssc", "ssc_test.h5", "a35ff1e9cffdd02a20eb850c17c37748"),
    ),
)

CARDS = (KEYWORDS, SPEECH_COMMANDS, SHD, SSC)
