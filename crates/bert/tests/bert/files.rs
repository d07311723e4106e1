//! Every form that weights are published in: the same tensors, or an error that names the file.

use std::path::{Path, PathBuf};

use converge_bert::device::of_tests;
use converge_bert::weights::{self, files_of_index};
use converge_bert::{
    BertClassifier, BertConfig, ClassifierOptions, LoadError, LoadReport, WeightFiles, WeightFormat,
};
use proptest::prelude::*;

use crate::golden;

fn load(
    format: WeightFormat,
    paths: &[PathBuf],
) -> Result<(BertClassifier, LoadReport), LoadError> {
    let config = BertConfig::from_json(&golden::text("files/config.json")).unwrap();
    let files = WeightFiles { format, paths: paths.to_vec() };
    weights::load_files(&files, &config, &ClassifierOptions::new(2), 3, &of_tests())
}

fn load_alone(format: WeightFormat, name: &str) -> (BertClassifier, LoadReport) {
    load(format, &[golden::path(&format!("files/{name}"))]).unwrap()
}

fn load_parts(format: WeightFormat, index: &str) -> (BertClassifier, LoadReport) {
    let names = files_of_index(&golden::text(&format!("files/{index}"))).unwrap();
    assert!(names.len() > 1);
    let paths: Vec<_> = names.iter().map(|name| golden::path(&format!("files/{name}"))).collect();
    load(format, &paths).unwrap()
}

fn bytes(model: &BertClassifier) -> Vec<u8> {
    let mut bytes = Vec::new();
    weights::save(model, &mut bytes).unwrap();
    bytes
}

#[test]
fn every_form_holds_the_same_model() {
    let (whole, report) = load_alone(WeightFormat::SafeTensors, "model.safetensors");
    let expected = bytes(&whole);
    assert_eq!(report.newly_initialised, ["classifier.weight", "classifier.bias"]);
    assert_eq!(report.used.len(), whole.parameters().len() - 2);
    for (model, other) in [
        load_parts(WeightFormat::SafeTensors, "model.safetensors.index.json"),
        load_alone(WeightFormat::PyTorch, "pytorch_model.bin"),
        load_alone(WeightFormat::PyTorch, "pytorch_model.stream.bin"),
        load_parts(WeightFormat::PyTorch, "pytorch_model.bin.index.json"),
    ] {
        assert!(bytes(&model) == expected, "the tensors differ");
        assert_eq!(other.newly_initialised, report.newly_initialised);
        assert!(other.ignored.iter().all(|(_, why)| why == "head of the pre-training task"));
        assert!(other.ignored.iter().any(|(name, _)| name == "cls.predictions.bias"));
    }
}

#[test]
fn a_part_that_is_left_out_is_missing_tensor_by_tensor() {
    let parts = [golden::path("files/model-00002-of-00003.safetensors")];
    match load(WeightFormat::SafeTensors, &parts) {
        Err(LoadError::Tensors { problems }) => {
            let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
            assert!(
                said.contains(&"`bert.embeddings.word_embeddings.weight` is missing".to_owned()),
                "{said:?}"
            );
        }
        other => panic!("{:?}", other.map(|found| found.1)),
    }
}

#[test]
fn every_damaged_part_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let cut = |name: &str| {
        let whole = golden::bytes(&format!("files/{name}"));
        let path = directory.path().join(name);
        std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        path
    };
    for (format, names) in [
        (
            WeightFormat::SafeTensors,
            ["model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors"],
        ),
        (
            WeightFormat::PyTorch,
            ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"],
        ),
    ] {
        let mut paths = names.map(cut).to_vec();
        paths.push(directory.path().join("absent"));
        let Err(error) = load(format, &paths) else { panic!("damaged files were accepted") };
        let said = error.to_string();
        assert!(said.starts_with("3 problems"), "{said}");
        for name in names {
            let path = directory.path().join(name);
            let start = format!("the weights `{}` are not a sound {format} file", path.display());
            assert!(said.contains(&start), "{said}");
        }
        assert!(said.contains("cannot read the weights"), "{said}");
    }
}

#[test]
fn a_shorter_file_is_refused_wherever_it_ends() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("short");
    for (format, name) in [
        (WeightFormat::SafeTensors, "model.safetensors"),
        (WeightFormat::PyTorch, "pytorch_model.bin"),
        (WeightFormat::PyTorch, "pytorch_model.stream.bin"),
    ] {
        let whole = golden::bytes(&format!("files/{name}"));
        for length in (0..whole.len()).step_by(211) {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(load(format, std::slice::from_ref(&path)).is_err(), "{name}: {length} bytes");
        }
    }
}

/// A stream of pickles that begins as PyTorch's does, with this for its tensors.
fn stream(tensors: &[u8]) -> Vec<u8> {
    let whole = golden::bytes("files/pytorch_model.stream.bin");
    // Magic number, protocol and system, each a pickle that ends in a full stop.
    let system = whole.windows(2).position(|bytes| bytes == b"u.").unwrap() + 2;
    [&whole[..system], tensors].concat()
}

fn refused(content: &[u8]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pytorch_model.bin");
    std::fs::write(&path, content).unwrap();
    let Err(error) = load(WeightFormat::PyTorch, &[path]) else { panic!("it was accepted") };
    error.to_string()
}

#[test]
fn a_pickle_that_would_run_something_is_data() {
    // os.system("touch /tmp/x"), the way every pickle that attacks begins.
    let said = refused(&stream(b"\x80\x02cos\nsystem\nX\x0c\x00\x00\x00touch /tmp/x\x85R."));
    assert!(said.contains("not a sound PyTorch file"), "{said}");
}

#[test]
fn a_pickle_that_would_fill_the_memory_is_refused_before_it_is_read() {
    // A byte each, and a hundred times that once they are objects.
    let mut nothings = vec![0x80, 2, b'('];
    nothings.resize(1 << 20, b'N');
    nothings.extend(b"l.");
    let said = refused(&stream(&nothings));
    assert!(said.ends_with("the index of its tensors is longer than any model's"), "{said}");

    let mut text = vec![0x80, 2, b'X'];
    text.extend((1_u32 << 30).to_le_bytes());
    let said = refused(&stream(&text));
    assert!(said.ends_with("the index of its tensors has more text than any model's"), "{said}");

    let said = refused(b"\x80\x02}q\x00.");
    assert!(said.ends_with("it is neither an archive nor a stream of pickles"), "{said}");
}

#[test]
fn an_archive_that_grows_when_it_is_read_is_refused() {
    let mut archive = golden::bytes("files/pytorch_model.bin");
    // The method of compression in each entry's header, and again in the directory.
    let (mut place, mut changed) = (0, 0);
    while let Some(found) = archive[place..]
        .windows(4)
        .position(|bytes| bytes == b"PK\x03\x04" || bytes == b"PK\x01\x02")
    {
        place += found;
        let method = place + if archive[place + 2] == 3 { 8 } else { 10 };
        archive[method] = 8;
        place += 4;
        changed += 1;
    }
    assert!(changed > 50, "{changed} headers");
    let said = refused(&archive);
    assert!(said.ends_with("its entries are compressed, which PyTorch never does"), "{said}");
}

fn corpus() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/corpus/pytorch");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = files.collect();
    assert!(files.len() >= 5, "only {} files are kept", files.len());
    files
}

#[test]
fn every_kept_file_of_pytorch_is_refused() {
    for path in corpus() {
        assert!(
            load(WeightFormat::PyTorch, std::slice::from_ref(&path)).is_err(),
            "{}",
            path.display()
        );
    }
}

/// Operations of pickles, with what follows them.
const OPERATIONS: &[&[u8]] = &[
    b"(",
    b")",
    b"]",
    b"}",
    b"l",
    b"t",
    b"d",
    b"N",
    b"K\x01",
    b"J\xff\xff\xff\x7f",
    b"X\x01\0\0\0a",
    b"q\0",
    b"h\0",
    b"R",
    b"b",
    b"Q",
    b"u",
    b"s",
    b"\x85",
    b"\x86",
    b"\x87",
    b"ctorch._utils\n_rebuild_tensor_v2\n",
    b"ctorch\nFloatStorage\n",
    b"X\x07\0\0\0storage",
    b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"2",
    b"0",
    b".",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_files_of_pytorch_are_read_or_refused(
        streams: bool, changes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..4)
    ) {
        let name = if streams { "files/pytorch_model.stream.bin" } else { "files/pytorch_model.bin" };
        let mut content = golden::bytes(name);
        let length = content.len();
        for (at, byte) in changes {
            content[at % length] = byte;
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("model.bin");
        std::fs::write(&path, content).unwrap();
        let _ = load(WeightFormat::PyTorch, &[path]);
    }

    #[test]
    fn any_pickle_is_read_or_refused(
        operations in prop::collection::vec(prop::sample::select(OPERATIONS), 0..60),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("model.bin");
        std::fs::write(&path, stream(&operations.concat())).unwrap();
        prop_assert!(load(WeightFormat::PyTorch, &[path]).is_err());
    }

    #[test]
    fn any_index_is_read_or_refused(text in "[{}\\[\\]:,\"a-z./_ ]{0,60}", name in "[a-z./\\\\-]{0,12}") {
        let _ = files_of_index(&text);
        let index = serde_json::json!({ "weight_map": { "x": name } }).to_string();
        if let Ok(files) = files_of_index(&index) {
            prop_assert!(files.iter().all(|file| !file.contains('/') && !file.starts_with('.')));
        }
    }
}
