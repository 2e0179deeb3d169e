"""Calls whose arguments are tags with text: the tool's schema says of which type."""

from __future__ import annotations

from inferd.contracts.output_parser import FieldsFrame
from inferd_parsers.family import NAMED, NOWHERE, Family


class QwenCoder(Family):
    """<tool_call><function=NAME><parameter=KEY>VALUE</parameter></function></tool_call>"""

    has = ("<tool_call>", "<function=")
    call_frame = FieldsFrame(
        "<tool_call>",
        "\n<function={name}>\n",
        "</function>\n</tool_call>",
        "<parameter={key}>\n",
        "\n</parameter>\n",
    )
    template = {
        "start_anchor_pattern": NOWHERE,
        "fields": {
            "tool_calls": {
                "open_pattern": r"<tool_call>\s*<function=(?P<name>[^>\n]+)>",
                "close_pattern": r"(?:</function>\s*)?</tool_call>",
                "content": "xml-inline",
                "content_args": {
                    "tag_pattern": r"<parameter=(?P<key>[^>\n]+)>\n?(?P<value>.*?)\n?</parameter>"
                },
                "transform": NAMED,
            },
            "content": {},
        },
    }


class Glm(Family):
    """<tool_call>NAME <arg_key>KEY</arg_key> <arg_value>VALUE</arg_value></tool_call>"""

    has = ("<tool_call>", "<arg_key>")
    call_frame = FieldsFrame(
        "<tool_call>",
        "{name}\n",
        "</tool_call>",
        "<arg_key>{key}</arg_key>\n<arg_value>",
        "</arg_value>\n",
    )
    template = {
        "start_anchor_pattern": NOWHERE,
        "fields": {
            "tool_calls": {
                "open_pattern": r"<tool_call>(?P<name>[^<\n]+)(?=[<\n])",
                "close": "</tool_call>",
                "content": "xml-inline",
                "content_args": {
                    "tag_pattern": r"<arg_key>(?P<key>[^<]*)</arg_key>\s*"
                    r"<arg_value>(?P<value>.*?)</arg_value>"
                },
                "transform": NAMED,
            },
            "content": {},
        },
    }


class MiniMax(Family):
    """<invoke name="NAME"><parameter name="KEY">VALUE</parameter></invoke>, several in one frame"""

    has = ("minimax:tool_call",)
    call_frame = FieldsFrame(
        '<invoke name="', '{name}">\n', "</invoke>", '<parameter name="{key}">', "</parameter>\n"
    )
    template = {
        "start_anchor_pattern": NOWHERE,
        "fields": {
            "tool_calls": {
                "open_pattern": r'<invoke name="(?P<name>[^">\n]+)">',
                "close": "</invoke>",
                "content": "xml-inline",
                "content_args": {
                    "tag_pattern": r'<parameter name="(?P<key>[^">\n]+)">(?P<value>.*?)</parameter>'
                },
                "transform": NAMED,
            },
            "content": {"close": ["<minimax:tool_call>", "</minimax:tool_call>"]},
        },
    }
