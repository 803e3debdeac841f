"""Made files of the forms in which DEAM, EmoMusic, PMEmo and MTG-Jamendo are published.

Headers, names, scales and separators are those of docs/how-to/use-music.md; the songs are made.
"""

import numpy as np

SONG_LEVEL = "DEAM_Annotations/annotations/annotations averaged per song/song_level"
PER_SECOND = (
    "DEAM_Annotations/annotations/annotations averaged per song/dynamic (per second annotations)"
)
SAMPLES = ("sample_15000ms", "sample_15500ms", "sample_16000ms")
JAMENDO_HEADER = "TRACK_ID\tARTIST_ID\tALBUM_ID\tPATH\tDURATION\tTAGS"


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def ratings(songs, seed=0, low=1.0, high=9.0):
    """Valence and arousal of each song, rounded as the files have them."""
    rng = np.random.default_rng(seed)
    return {song: rng.uniform(low, high, 2).round(2) for song in songs}


def deam(root, songs=(2, 3, 4, 2001), sampled=True):
    """DEAM: two tables of whole songs, spaces after the commas of their headers."""
    rated = ratings(songs)
    rows = {song: f"{song},{v},0.9,{a},0.6" for song, (v, a) in rated.items()}
    header = "song_id, valence_mean, valence_std, arousal_mean, arousal_std"
    more = header + ", valence_ max_mean, valence_max_std"
    early, late = ([rows[s] for s in songs if (s > 2000) is is_late] for is_late in (False, True))
    folder = root / SONG_LEVEL
    name = "static_annotations_averaged_songs"
    write(folder / f"{name}_1_2000.csv", "\n".join([header, *early]) + "\n")
    write(folder / f"{name}_2000_2058.csv", "\n".join([more, *(r + ",7,1" for r in late)]) + "\n")
    if sampled:
        for k, kind in enumerate(("valence", "arousal")):
            write(root / PER_SECOND / f"{kind}.csv", sampled_table(songs, k))
    write(root / "DEAM_audio" / "MEMD_audio" / "2.mp3", "no sound")
    return rated


def sampled_table(songs, seed):
    """A row a song; the last one is shorter than the others."""
    rng = np.random.default_rng(seed)
    lines = ["song_id," + ",".join(SAMPLES)]
    for song in songs:
        cells = [f"{value:.3f}" for value in rng.uniform(-1, 1, len(SAMPLES))]
        lines.append(",".join([str(song), *cells[: 2 if song == songs[-1] else 3]]))
    return "\n".join(lines) + "\n"


def emomusic(root, songs=(2, 3, 5), evaluation=(5,)):
    """EmoMusic: arousal before valence, and which songs were for evaluation."""
    rated = ratings(songs, 1)
    rows = [f"{song},{a},0.9,{v},0.6" for song, (v, a) in rated.items()]
    header = "song_id,mean_arousal,std_arousal,mean_valence,std_valence"
    write(root / "annotations" / "static_annotations.csv", "\n".join([header, *rows]) + "\n")
    info = [
        "song_id,file_name,Artist,Song title,start of the segment (min.sec),"
        "end of the segment (min.sec),Genre,Mediaeval 2013 set"
    ]
    for song in songs:
        word = "evaluation" if song in evaluation else "development"
        info.append(f"{song},{song}.mp3,Someone\t,A song\t,1.32,2.17,Blues\t,{word}")
    write(root / "annotations" / "songs_info.csv", "\n".join(info) + "\n")
    for k, kind in enumerate(("valence", "arousal")):
        write(root / "annotations" / f"{kind}_cont_average.csv", sampled_table(songs, k))
    return rated


def pmemo(root, songs=(1, 4, 5)):
    """PMEmo: ratings from 0 to 1, and a table of half seconds with a row each."""
    rated = ratings(songs, 2, 0, 1)
    rows = [f"{song},{a},{v}" for song, (v, a) in rated.items()]
    header = "musicId,Arousal(mean),Valence(mean)"
    write(root / "annotations" / "static_annotations.csv", "\n".join([header, *rows]) + "\n")
    moments = ["musicId,frameTime,Arousal(mean),Valence(mean)"]
    moments += [f"{song},{t},0.25,0.75" for song in songs for t in (15.5, 15.0, 16.0)]
    write(root / "annotations" / "dynamic_annotations.csv", "\n".join(moments) + "\n")
    return rated


def packed(root, train=(1, 2), val=(3,), test=(4,)):
    """What the programs of Music2Emo read: one form for three corpora, and split files."""
    rated = ratings((*train, *val, *test), 3)
    rows = [f"{song},{v},0.2,{a},0.1" for song, (v, a) in rated.items()]
    header = "song_id,valence_mean,valence_std,arousal_mean,arousal_std"
    write(root / "meta" / "static_annotations.csv", "\n".join([header, *rows]) + "\n")
    for name, songs in (("train", train), ("val", val), ("test", test)):
        write(root / "meta" / "split" / f"{name}.txt", "".join(f"{song}\n" for song in songs))
    return rated


def jamendo(root, tracks=3, split="split-0"):
    """The three files of a split of MTG-Jamendo, so many tracks each, an artist a file."""
    tags = (("happy",), ("sad", "slow"), ("happy", "epic"))
    for artist, name in enumerate(("train", "validation", "test")):
        lines = [JAMENDO_HEADER]
        for n in range(tracks):
            number = 1000 * (artist + 1) + n
            own = "\t".join(f"mood/theme---{tag}" for tag in tags[n % 3])
            lines.append(
                f"track_{number:07}\tartist_{artist:06}\talbum_000001\t"
                f"{number % 100:02}/{number}.mp3\t200.5\t{own}"
            )
        path = root / "data" / "splits" / split / f"autotagging_moodtheme-{name}.tsv"
        write(path, "\n".join(lines) + "\n")
    return root
