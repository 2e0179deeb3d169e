"""From texts and conversations to token ids, off the event loop where they are long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from inferd.errors import ContextTooLong, RequestError
from inferd.params import SamplingParams
from inferd_server.answering import reading
from inferd_server.conversation import Conversation
from inferd_server.generation import Generation
from inferd_server.service import Service
from inferd_server.time_limit import within

if TYPE_CHECKING:
    from inferd.loading.tokenizer import Tokenizer

T = TypeVar("T")

MOST_CHARS_PER_TOKEN = 64  # far above any tokenizer's mean; refuses a text before it is tokenized
TEMPLATE_S = 5.0  # a conversation of a megabyte takes a tenth of a second
INLINE_CHARS = 8192  # about 4 ms of tokenizing; more goes to a thread, without the GIL

LOOSE = (
    "strict of tools, which is enforced where tool_choice forces a call, and otherwise where the "
    "family's format of calls is known and no other structure is asked for"
)


async def encode(
    service: Service, texts: list[str], *, special: bool, field: str
) -> list[list[int]]:
    """Token ids of each text.

    Raises ContextTooLong for a text that cannot fit, before tokenizing, and RequestError.
    """
    tokenizer = service.tokenizer
    return await _tokenized(
        service, texts, field, lambda: tokenizer.encode_batch(texts, add_special_tokens=special)
    )


async def _tokenized(service: Service, texts: list[str], field: str, encode: Callable[[], T]) -> T:
    """What `encode` makes of the texts. Raises as above."""
    _check_lengths(service, texts, field)

    def work() -> T:
        try:
            return encode()
        except BaseException as error:
            if type(error).__name__ != "PanicException":
                raise
            raise RequestError(f"the tokenizer failed on {field}", field) from None

    short = sum(map(len, texts)) <= INLINE_CHARS
    return work() if short else await asyncio.to_thread(work)


def _check_lengths(service: Service, texts: list[str], field: str) -> None:
    most = service.context * MOST_CHARS_PER_TOKEN
    longest = max(map(len, texts))
    if longest > most:
        raise ContextTooLong(
            f"{field} has {longest} characters; no text of more than {most} fits this model's "
            f"context of {service.context} tokens",
            field,
        )


async def render(service: Service, conversation: Conversation) -> str:
    """The conversation as text. Raises RequestError with the chat template's own complaint.

    A template is a program of the model's, which may loop: it never runs on the event loop. One of
    a client's does not even run in this process.
    """
    tokenizer = service.tokenizer
    if conversation.template is not None:
        return await _render_by(service, conversation.template, conversation)
    _check_template(tokenizer, conversation)

    def work() -> str:
        return tokenizer.apply_chat_template(
            conversation.messages,
            tools=conversation.tools or None,
            add_generation_prompt=conversation.generate and not conversation.resume,
            continue_final_message=conversation.resume,
            **conversation.options,
        )

    try:
        return await within(TEMPLATE_S, work)
    except TimeoutError:
        text = f"the model's chat template did not end within {TEMPLATE_S:g} s"
        raise RequestError(text, conversation.field, "template_timeout") from None
    except RequestError as error:
        error.param = conversation.field
        raise


async def _render_by(service: Service, template: str, conversation: Conversation) -> str:
    """By a template of the client's. Raises RequestError where the operator does not allow it."""
    if service.client_templates is None:
        raise RequestError(
            "chat_template is taken by servers with --allow-client-chat-templates; send the "
            "request without it",
            "chat_template",
            "unsupported_parameter",
        )
    context = {
        "documents": None,
        **service.tokenizer.special_tokens,
        **conversation.options,
        "tools": conversation.tools or None,
        "add_generation_prompt": conversation.generate and not conversation.resume,
    }
    return await service.client_templates.render(
        template, conversation.messages, context, opens=conversation.resume
    )


def _check_template(tokenizer: Tokenizer, conversation: Conversation) -> None:
    """Raises RequestError for a model without a chat template, or with one that takes no tools."""
    if not tokenizer.has_chat_template:
        raise RequestError(
            "this model has no chat template; use /v1/completions",
            conversation.field,
            "no_chat_template",
        )
    if conversation.tools and not tokenizer.takes_tools:
        raise RequestError(
            "this model's chat template takes no tools; send the request without them",
            "tools",
            "unsupported_parameter",
        )


async def conversation_ids(service: Service, conversation: Conversation) -> list[int]:
    """Token ids of a conversation. Raises what `render` and `encode` raise."""
    return await _ids(service, conversation, await render(service, conversation))


async def _ids(service: Service, conversation: Conversation, text: str) -> list[int]:
    field, tokenizer = conversation.field, service.tokenizer
    if conversation.special:
        (ids,) = await encode(service, [text], special=True, field=field)
        return ids
    return await _tokenized(service, [text], field, lambda: tokenizer.encode_conversation(text))


async def converse(
    service: Service,
    conversation: Conversation,
    params: SamplingParams,
    *,
    request_id: str,
    model: str,
    asked: int | None,
    structure_field: str,
    priority: int = 0,
    cache_salt: str = "",
) -> Generation:
    """What the engine is asked for the next turn, with room for `asked` tokens (None: any).

    Raises RequestError, naming the field.
    """
    text = await render(service, conversation)
    read = reading(service, conversation, text, params)
    prompt = await _ids(service, conversation, read.prompt)
    check_prompts(service, [prompt], asked, conversation.field)
    return Generation(
        request_id=request_id,
        model=model,
        prompts=[prompt],
        params=read.params,
        field=conversation.field,
        structure_field="tools" if read.structures_calls else structure_field,
        priority=priority,
        cache_salt=cache_salt,
        make_parser=read.make_parser,
        parallel_calls=read.parallel,
        notes=(LOOSE,) if conversation.use.strict and not read.structures_calls else (),
    )


def check_prompts(
    service: Service, prompts: list[list[int]], asked: int | None, field: str
) -> None:
    """All prompts before any of them runs. Raises ContextTooLong, or RequestError for an id."""
    context, vocab_size = service.context, service.engine.info.vocab_size
    longest = max(len(prompt) for prompt in prompts)
    if longest + (asked or 1) > context:
        wish = f"max_tokens asks for {asked}" if asked else "the answer needs at least 1"
        raise ContextTooLong(
            f"this model's maximum context length is {context} tokens; {field} has {longest} and "
            f"{wish}, {longest + (asked or 1)} in all. Shorten {field}"
            + (f", or ask for at most {context - longest}" if longest < context else ""),
            field,
        )
    for prompt in prompts:
        if prompt and not 0 <= min(prompt) <= max(prompt) < vocab_size:
            raise RequestError(f"{field}: an id is not in the vocabulary of {vocab_size}", field)
