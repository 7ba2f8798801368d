"""A text service in one process: requests that arrive together are drawn together, and nobody can tell.

    pip install 'genfast' fastapi uvicorn
    uvicorn service:app --app-dir examples
    curl localhost:8000/complete -H 'content-type: application/json' -d '{"prompt": "Alice ", "n": 2, "seed": 7}'

A row depends on its own uniforms and prompt alone, so the same request gives the same text whatever else is running.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import numpy as np
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

import genfast as gf

MAX_ROWS = 64  # in one call; a longer queue waits for the next


class Request(BaseModel):
    """What to write: `n` texts, each after `prompt`. Row i of a seed is the same text whatever `n` is."""

    prompt: str = ""
    n: int = Field(1, ge=1, le=16)
    seed: int = Field(0, ge=0, lt=2**63)
    max_tokens: int = Field(80, ge=1)
    temperature: float = Field(1.0, gt=0, le=10)
    top_p: float | None = Field(None, ge=0, le=1)

    @property
    def filters(self) -> tuple:
        """What all rows of one call have in common."""
        return self.temperature, self.top_p


@dataclass
class Waiting:
    request: Request
    prompt: list[int]
    answer: asyncio.Future


class Batcher:
    """One call at a time; whatever has queued up meanwhile is the next one."""

    def __init__(self, model: gf.Model) -> None:
        self.model = model
        self.vocabulary = list(model.meta["vocabulary"])
        self.token = {character: i for i, character in enumerate(self.vocabulary)}
        self.queue: list[Waiting] = []
        self.arrived = asyncio.Event()
        self.calls: list[int] = []  # rows of each call so far

    def encode(self, prompt: str) -> list[int]:
        """Tokens of a prompt. Raises ValueError: a bad request must fail before it joins a batch."""
        unknown = sorted(set(prompt) - self.token.keys())
        if unknown:
            raise ValueError(f"the model does not know the characters {''.join(unknown)!r}")
        if len(prompt) >= self.model.sites:
            raise ValueError(f"a prompt may have {self.model.sites - 1} characters, this one has {len(prompt)}")
        return [self.token[character] for character in prompt]

    async def complete(self, request: Request) -> list[str]:
        waiting = Waiting(request, self.encode(request.prompt), asyncio.get_running_loop().create_future())
        self.queue.append(waiting)
        self.arrived.set()
        return await waiting.answer

    async def run(self) -> None:
        while True:
            await self.arrived.wait()
            batch = self.take()
            try:
                texts = await asyncio.to_thread(self.draw, batch)  # the core releases the GIL
            except Exception as error:  # the callers' to see, and the next batch goes on
                texts = [error] * len(batch)
            for waiting, text in zip(batch, texts, strict=True):
                if waiting.answer.done():  # its client has gone
                    continue
                if isinstance(text, Exception):
                    waiting.answer.set_exception(text)
                else:
                    waiting.answer.set_result(text)

    def take(self) -> list[Waiting]:
        """The first in the queue, and those behind it with the same filters, as long as they fit."""
        batch, rest, rows = [], [], 0
        for waiting in self.queue:
            same = waiting.request.filters == self.queue[0].request.filters
            if same and (not batch or rows + waiting.request.n <= MAX_ROWS):
                batch.append(waiting)
                rows += waiting.request.n
            else:
                rest.append(waiting)
        self.queue = rest
        if not rest:
            self.arrived.clear()
        return batch

    def draw(self, batch: list[Waiting]) -> list[list[str]]:
        requests = [waiting.request for waiting in batch]
        prompts = [waiting.prompt for waiting in batch for _ in range(waiting.request.n)]
        u = np.concatenate([gf.Stream(r.seed).uniforms(r.n, self.model.sites) for r in requests])
        temperature, top_p = requests[0].filters
        rows = self.model.sample(
            len(u),
            u=u,
            prompt=prompts,
            max_tokens=max(r.max_tokens for r in requests),
            temperature=temperature,
            top_p=top_p,
        )
        self.calls.append(len(rows))
        texts, row = [], iter(rows)
        for waiting in batch:
            first = max(len(waiting.prompt), 1)  # without a prompt, token 0 is the model's start token
            last = first + waiting.request.max_tokens
            texts.append([self.decode(next(row)[first:last]) for _ in range(waiting.request.n)])
        return texts

    def decode(self, tokens: np.ndarray) -> str:
        return "".join(self.vocabulary[token] for token in tokens)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.batcher = Batcher(gf.load(os.environ.get("GENFAST_MODEL", "alice")))
    worker = asyncio.create_task(app.state.batcher.run())
    yield
    worker.cancel()


app = FastAPI(title="genfast", lifespan=lifespan)


@app.post("/complete")
async def complete(request: Request) -> dict[str, list[str]]:
    try:
        return {"texts": await app.state.batcher.complete(request)}
    except ValueError as error:
        raise HTTPException(422, str(error)) from None
