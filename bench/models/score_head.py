"""A score on any causal language model: where transformers has no sequence classifier for one, it is made here.

It is the language model's own body with a linear head on its last hidden state, as transformers' classifiers are, and
is saved and loaded as they are, by `AutoModelForSequenceClassification`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import AutoModel, AutoModelForSequenceClassification, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
)

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


def head_width(language_model: PreTrainedModel) -> int:
    """The width of the hidden states that a language model's head reads: not always its layers' (OPT-350m)."""
    head: Any = language_model.get_output_embeddings()
    return int(head.weight.shape[1])


def ensure_classifier(config: PreTrainedConfig) -> None:
    """Make a sequence classifier known to transformers, if there is none for this kind of causal language model."""
    kind = type(config)
    if kind in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING or kind not in MODEL_FOR_CAUSAL_LM_MAPPING:
        return
    causal: Any = MODEL_FOR_CAUSAL_LM_MAPPING[kind]
    family = [each for each in causal.__mro__ if issubclass(each, PreTrainedModel)][
        -2
    ]  # such as GranitePreTrainedModel
    name = causal.__name__.replace("ForCausalLM", "").replace("LMHeadModel", "") + "ForSequenceClassification"
    own = {"base_model_prefix": causal.base_model_prefix, "config_class": kind, "causal": causal}
    # exist_ok: else transformers passes over classifiers for its own kinds of models, without a word
    AutoModelForSequenceClassification.register(kind, type(name, (_Scored, family), own), exist_ok=True)


class _Scored:
    """The part of such a classifier that is the same for all; beside it stands the family's own base class.

    The score is read at the last token that is not the padding token, as transformers' classifiers do.
    """

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__(config)  # type: ignore[call-arg]  # the family's
        this: Any = self
        with torch.device("meta"):
            width = head_width(this.causal(config))
        setattr(self, this.base_model_prefix, AutoModel.from_config(config))
        self.num_labels = config.num_labels
        self.score = torch.nn.Linear(width, config.num_labels, bias=False)
        this.post_init()

    def get_input_embeddings(self) -> torch.nn.Module:
        """The body's."""
        this: Any = self
        embeddings: torch.nn.Module = this.base_model.get_input_embeddings()
        return embeddings

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        **inputs: Any,
    ) -> SequenceClassifierOutput:
        """`logits`, (batch, labels): the score of each row; `inputs` go to the body."""
        this: Any = self
        output = this.base_model(input_ids=input_ids, attention_mask=attention_mask, **inputs)
        everywhere = self.score(output.last_hidden_state)
        rows, last = torch.arange(len(everywhere), device=everywhere.device), -1
        if input_ids is not None:
            places = torch.arange(input_ids.shape[1], device=everywhere.device)
            last = ((input_ids != this.config.pad_token_id) * places).argmax(1)
        logits = everywhere[rows, last]
        loss = None
        if labels is not None:
            loss = this.loss_function(logits=everywhere, labels=labels, pooled_logits=logits, config=this.config)
        return SequenceClassifierOutput(loss=loss, logits=logits, hidden_states=output.hidden_states)
