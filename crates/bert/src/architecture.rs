//! The architectures that are the same blocks under other names.
//!
//! | `model_type` | what is its own |
//! |---|---|
//! | `bert` | – |
//! | `distilbert` | other keys and names; no token types; before the classification a layer with ReLU, `pre_classifier` |
//! | `roberta` | positions are counted from behind the padding token's number; before the classification dropout and a layer with tanh, `classifier.dense` |
//! | `xlm-roberta` | RoBERTa under its own `model_type` |
//!
//! # Source
//! `modeling_distilbert.py` and `modeling_roberta.py`, beside [`modeling_bert.py`](crate#source). XLM-RoBERTa's file
//! there is RoBERTa's with other names of classes.

/// A `model_type` that is supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// Devlin et al. 2019.
    Bert,
    /// Sanh et al. 2019, *DistilBERT, a distilled version of BERT* (<https://arxiv.org/abs/1910.01108>).
    DistilBert,
    /// Liu et al. 2019, *RoBERTa: A Robustly Optimized BERT Pretraining Approach* (<https://arxiv.org/abs/1907.11692>).
    Roberta,
    /// Conneau et al. 2020, *Unsupervised Cross-lingual Representation Learning at Scale*
    /// (<https://arxiv.org/abs/1911.02116>).
    XlmRoberta,
}

impl Architecture {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Bert, Self::DistilBert, Self::Roberta, Self::XlmRoberta];

    pub(crate) fn from_model_type(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|architecture| architecture.model_type() == name)
    }

    /// Returns the value of `model_type` in `config.json`.
    pub fn model_type(self) -> &'static str {
        match self {
            Self::Bert => "bert",
            Self::DistilBert => "distilbert",
            Self::Roberta => "roberta",
            Self::XlmRoberta => "xlm-roberta",
        }
    }

    /// Returns the name that people use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bert => "BERT",
            Self::DistilBert => "DistilBERT",
            Self::Roberta => "RoBERTa",
            Self::XlmRoberta => "XLM-RoBERTa",
        }
    }

    /// Returns the class of transformers that a trained model with pooling `cls` is, for `architectures` in
    /// `config.json`.
    pub fn classifier_class(self) -> &'static str {
        match self {
            Self::Bert => "BertForSequenceClassification",
            Self::DistilBert => "DistilBertForSequenceClassification",
            Self::Roberta => "RobertaForSequenceClassification",
            Self::XlmRoberta => "XLMRobertaForSequenceClassification",
        }
    }

    /// Returns the class of transformers without a head.
    pub fn encoder_class(self) -> &'static str {
        match self {
            Self::Bert => "BertModel",
            Self::DistilBert => "DistilBertModel",
            Self::Roberta => "RobertaModel",
            Self::XlmRoberta => "XLMRobertaModel",
        }
    }

    /// Says whether the model is told which text of a pair a token belongs to.
    pub fn has_token_types(self) -> bool {
        self != Self::DistilBert
    }

    /// Says whether positions are counted from behind the padding token's number.
    pub(crate) fn counts_behind_padding(self) -> bool {
        matches!(self, Self::Roberta | Self::XlmRoberta)
    }
}
