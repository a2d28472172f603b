"""`chat`: a chat model behind an OpenAI-compatible URL, asked which of two answers is better."""

from __future__ import annotations

import json
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from typing import Any, ClassVar

from pydantic import field_validator

from bench.contracts.errors import BenchError
from bench.contracts.judge import Judge
from bench.contracts.plugin import Field
from bench.contracts.task import Completion, Prompt
from bench.models.encoding import text_of

TEMPLATE = """\
Two assistants were given the same request. Judge which of the two responses is better: the one that does what the \
request asks for, is correct, clear and well written. Neither the order nor the length of the responses matters.

[Request]
{prompt}

[Response A]
{first}

[Response B]
{second}

Reply with one word: A if response A is better, B if response B is better, or tie if neither is."""

_ANSWER = re.compile(r"\W*(?:(?:answer|verdict|response)\W+)*(A|B|tie)\W*", re.IGNORECASE)
_VALUES = {"a": 1.0, "b": 0.0, "tie": 0.5}
_PASSING = {408, 409, 425, 429, 500, 502, 503, 504, 529}  # worth another try; any other refusal is final
_LONGEST_WAIT = 60.0


class Chat(Judge):
    """A chat model behind an OpenAI-compatible URL, asked in words, at temperature 0."""

    immaterial: ClassVar[set[str]] = {"api_key_env", "timeout", "retries", "concurrency"}

    url: str = Field(
        description="where the API starts, e.g. http://localhost:8000/v1; /chat/completions is added",
        pattern="^https?://",
    )
    model: str = Field(description="the model's name, as the server knows it", min_length=1)
    api_key_env: str | None = Field(None, description="the environment variable that holds the key; it is never stored")
    temperature: float = Field(0.0, ge=0, le=2, description="the model's sampling temperature")
    timeout: float = Field(60.0, gt=0, description="seconds to wait for one answer")
    retries: int = Field(
        4, ge=0, description="further tries where the server is away or busy, after 1, 2, 4, … seconds"
    )
    concurrency: int = Field(8, ge=1, le=256, description="questions on their way at a time")
    template: str = Field(
        TEMPLATE, description="the question, with {prompt}, {first} and {second}; to answer: A, B or tie"
    )

    @field_validator("url")
    @classmethod
    def _address(cls, url: str) -> str:
        try:
            parts = urllib.parse.urlsplit(url)
            complete = bool(parts.hostname) and (parts.port is None or parts.port > 0)
        except ValueError as error:
            raise ValueError(f"is no address: {error}") from None
        if not complete:
            raise ValueError("is no address: it names no server")
        return url

    @field_validator("template")
    @classmethod
    def _complete(cls, template: str) -> str:
        for name in ("{prompt}", "{first}", "{second}"):
            if name not in template:
                raise ValueError(f"must contain {name}")
        return template

    def compare(
        self, prompts: Sequence[Prompt], first: Sequence[Completion], second: Sequence[Completion]
    ) -> list[float]:
        """One question per pair; NaN where the reply is none of A, B and tie."""
        headers = self._headers()
        questions = [self._question(*each) for each in zip(prompts, first, second, strict=True)]
        with ThreadPoolExecutor(min(self.concurrency, len(questions) or 1)) as pool:
            try:
                return [parse(reply) for reply in pool.map(lambda text: self._ask(text, headers), questions)]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)  # one error is enough: ask nothing more
                raise

    def _question(self, prompt: Prompt, first: Completion, second: Completion) -> str:
        texts = {"{prompt}": plain(prompt), "{first}": text_of(first).strip(), "{second}": text_of(second).strip()}
        # all at once, so that a text with braces of its own stays as it is
        return re.sub(r"\{(?:prompt|first|second)\}", lambda name: texts[name.group()], self.template)

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        if self.api_key_env is not None:
            if not os.environ.get(self.api_key_env):
                raise BenchError(f"judge 'chat': the environment variable {self.api_key_env!r} is not set")
            headers["Authorization"] = f"Bearer {os.environ[self.api_key_env]}"
        return headers

    def _ask(self, question: str, headers: dict[str, str]) -> str:
        """The model's reply to one question, tried again while the server is away or busy."""
        body = {
            "model": self.model,
            "temperature": self.temperature,
            "messages": [{"role": "user", "content": question}],
        }
        address = f"{self.url.rstrip('/')}/chat/completions"
        request = urllib.request.Request(address, json.dumps(body).encode(), headers)
        for attempt in range(self.retries + 1):
            wait = 2.0**attempt
            try:
                with urllib.request.urlopen(request, timeout=self.timeout) as response:
                    return _content(response.read(), address)
            except urllib.error.HTTPError as error:
                said = error.read(300).decode(errors="replace").strip()
                problem = f"{address} answers {error.code} {error.reason}" + (f": {said}" if said else "")
                if error.code not in _PASSING:
                    hint = " — is `api_key_env` set?" if error.code == 401 and self.api_key_env is None else ""
                    raise BenchError(f"judge 'chat': {problem}{hint}") from None
                asked = error.headers.get("Retry-After") or ""
                wait = max(wait, float(asked)) if asked.isdigit() else wait
            except (OSError, HTTPException) as error:
                problem = (
                    f"{address} cannot be reached: {getattr(error, 'reason', None) or error or type(error).__name__}"
                )
            if attempt < self.retries:
                time.sleep(min(wait, _LONGEST_WAIT))
        tries = f"{self.retries + 1} tries" if self.retries else "one try"
        raise BenchError(f"judge 'chat': {problem} (after {tries})")


def parse(reply: str) -> float:
    """1 for A, 0 for B, ½ for a tie; NaN for anything else. The last line counts: models may think before it."""
    lines = reply.strip().splitlines()
    match = _ANSWER.fullmatch(lines[-1]) if lines else None
    return _VALUES[match[1].lower()] if match else float("nan")


def plain(prompt: Prompt) -> str:
    """A prompt as a person reads it: a conversation with its roles."""
    if isinstance(prompt, str):
        return prompt.strip()
    return "\n\n".join(f"{turn['role']}: {turn['content']}" for turn in prompt)


def _content(body: bytes, address: str) -> str:
    try:
        reply: Any = json.loads(body)["choices"][0]["message"]
        return str(reply.get("content") or "")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        raise BenchError(f"judge 'chat': {address} does not answer as an OpenAI-compatible server does") from None
