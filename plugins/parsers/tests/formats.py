"""What models of each family write, and what it says.

Texts are as the families' chat templates render an assistant's turn, without the token that ends
it. The pieces of each case are what stays when white space between them is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

from inferd.contracts.output_parser import Call, Content, Piece, Reasoning

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            },
        },
    },
    {"type": "function", "function": {"name": "ping"}},
]
ARGUMENTS = '{"city": "Zürich", "days": 2}'
WEATHER = Call("get_weather", ARGUMENTS)
PING = Call("ping", "{}")


@dataclass(frozen=True)
class Case:
    """An answer of models whose parsers have these names."""

    text: str
    pieces: tuple[Piece, ...]
    tools: str = "none"
    reasoning: str = "none"
    prompt: str = "prompt"


HERMES = '<tool_call>\n{"name": "%s", "arguments": %s}\n</tool_call>'
QWEN3 = (
    "<think>\nThe user wants weather.\n</think>\n\nI look.\n\n"
    f"{HERMES % ('get_weather', ARGUMENTS)}\n{HERMES % ('ping', '{}')}"
)
QWEN_CODER = (
    "I look.\n\n<tool_call>\n<function=get_weather>\n<parameter=city>\nZürich\n</parameter>\n"
    "<parameter=days>\n2\n</parameter>\n</function>\n</tool_call>\n"
    "<tool_call>\n<function=ping>\n</function>\n</tool_call>"
)
GLM = (
    "<think>Weather.</think>\nI look.\n<tool_call>get_weather\n<arg_key>city</arg_key>\n"
    "<arg_value>Zürich</arg_value>\n<arg_key>days</arg_key>\n<arg_value>2</arg_value>\n"
    "</tool_call>\n<tool_call>ping\n</tool_call>"
)
MINIMAX = (
    "I look.\n<minimax:tool_call>\n"
    '<invoke name="get_weather">\n<parameter name="city">Zürich</parameter>\n'
    '<parameter name="days">2</parameter>\n</invoke>\n<invoke name="ping">\n</invoke>\n'
    "</minimax:tool_call>"
)
JSON_LIST = f'[{{"name": "get_weather", "arguments": {ARGUMENTS}}}, {{"name": "ping"}}]'
LLAMA = f'{{"name": "get_weather", "parameters": {ARGUMENTS}}}'
PYTHON = "[get_weather(city='Zürich', days=2), ping()]"
DEEPSEEK = (
    "I look.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n"
    f"```json\n{ARGUMENTS}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>ping\n"
    "```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>"
)
DEEPSEEK_31 = (
    f"I look.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{ARGUMENTS}"
    "<｜tool▁call▁end｜><｜tool▁call▁begin｜>ping<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>"
)
DEEPSEEK_32 = (
    'I look.\n\n<｜DSML｜function_calls>\n<｜DSML｜invoke name="get_weather">\n'
    '<｜DSML｜parameter name="city" string="true">Zürich</｜DSML｜parameter>\n'
    '<｜DSML｜parameter name="days" string="false">2</｜DSML｜parameter>\n</｜DSML｜invoke>\n'
    '<｜DSML｜invoke name="ping">\n</｜DSML｜invoke>\n</｜DSML｜function_calls>'
)
FUNCTION_GEMMA = (
    "<start_function_call>call:get_weather{city:<escape>Zürich<escape>,days:2}<end_function_call>"
    "<start_function_call>call:ping{}<end_function_call><start_function_response>"
)
INTERNLM = f'<|action_start|><|plugin|>\n{{"name": "get_weather", "parameters": {ARGUMENTS}}}\n'
KIMI = (
    "I look.<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0"
    f"<|tool_call_argument_begin|>{ARGUMENTS}<|tool_call_end|><|tool_call_begin|>functions.ping:1"
    "<|tool_call_argument_begin|>{}<|tool_call_end|><|tool_calls_section_end|>"
)
HARMONY = (
    "<|channel|>analysis<|message|>Weather.<|end|>"
    "<|start|>assistant<|channel|>commentary<|message|>I look.<|end|>"
    "<|start|>assistant<|channel|>commentary to=functions.get_weather <|constrain|>json"
    f"<|message|>{ARGUMENTS}<|call|>"
    "<|start|>assistant to=functions.ping<|channel|>commentary json<|message|>{}"
)
GEMMA = (
    "<|channel>thought\nWeather.\n<channel|>I look."
    '<|tool_call>call:get_weather{city:<|"|>Zürich<|"|>,days:2}<tool_call|>'
    "<|tool_call>call:ping{}<tool_call|>"
)
COHERE = (
    "<|START_THINKING|>Weather.<|END_THINKING|><|START_ACTION|>[\n"
    f'    {{"tool_call_id": "0", "tool_name": "get_weather", "parameters": {ARGUMENTS}}},\n'
    '    {"tool_call_id": "1", "tool_name": "ping", "parameters": {}}\n]<|END_ACTION|>'
)
BOTH = (WEATHER, PING)
LOOK = Content("I look.")
THOUGHT = Reasoning("Weather.")

CASES = {
    "qwen3": Case(QWEN3, (Reasoning("The user wants weather."), LOOK, *BOTH), "hermes", "think"),
    "qwen3, prefilled": Case(
        "Weather.\n</think>\n\nHi", (THOUGHT, Content("Hi")), "hermes", "think", "x<think>\n"
    ),
    "qwen3, thinking off": Case(
        "Hi <think> there", (Content("Hi <think> there"),), "hermes", "think", "<think>\n\n</think>"
    ),
    "qwen2.5": Case(f"I look.\n{HERMES % ('ping', '{}')}", (LOOK, PING), "hermes"),
    "hermes, cut off": Case(
        f"{HERMES.removesuffix('</tool_call>') % ('get_weather', ARGUMENTS)}", (WEATHER,), "hermes"
    ),
    "hermes, arguments as text": Case(
        '<tool_call>{"name": "ping", "arguments": "{}"}</tool_call>', (PING,), "hermes"
    ),
    "qwen3-coder": Case(QWEN_CODER, (LOOK, *BOTH), "qwen3_coder"),
    "glm": Case(GLM, (THOUGHT, LOOK, *BOTH), "glm4_moe", "think"),
    "glm, on one line": Case(
        "<tool_call>get_weather<arg_key>city</arg_key><arg_value>Zürich</arg_value>"
        "<arg_key>days</arg_key><arg_value>2</arg_value></tool_call>",
        (WEATHER,),
        "glm4_moe",
    ),
    "minimax": Case(MINIMAX, (LOOK, *BOTH), "minimax_m2"),
    "phi4": Case(f"<|tool_call|>{JSON_LIST}<|/tool_call|>", BOTH, "phi4_mini"),
    "phi4, functools": Case(f"functools{JSON_LIST}", BOTH, "phi4_mini"),
    "granite": Case(f"<|tool_call|>{JSON_LIST}", BOTH, "granite"),
    "llama3": Case(LLAMA, (WEATHER,), "llama3_json"),
    "llama3, tagged": Case(f"<|python_tag|>{LLAMA}", (WEATHER,), "llama3_json"),
    "llama3, several": Case(f"{LLAMA}; {LLAMA}", (WEATHER, WEATHER), "llama3_json"),
    "llama3, JSON": Case(
        '{"name": "Zürich", "parameters": {"days": 2}} is',
        (Content('{"name": "Zürich", "parameters": {"days": 2}} is'),),
        "llama3_json",
    ),
    "llama3, JSON after a call": Case(
        f'{LLAMA}; {{"name": "Zürich"}}', (WEATHER, Content('; {"name": "Zürich"}')), "llama3_json"
    ),
    "llama4, other functions": Case(
        "[get_time(city='Zürich')]", (Content("[get_time(city='Zürich')]"),), "pythonic"
    ),
    "llama4": Case(PYTHON, BOTH, "pythonic"),
    "llama4, escapes of JSON": Case(
        r'[get_weather(city="Z\ud83d\ude00", days=2)]',
        (Call("get_weather", '{"city": "Z😀", "days": 2}'),),
        "pythonic",
    ),
    "llama4, tagged": Case(f"<|python_start|>{PYTHON}<|python_end|>", BOTH, "pythonic"),
    "lfm2": Case(f"I look.<|tool_call_start|>{PYTHON}<|tool_call_end|>", (LOOK, *BOTH), "lfm2"),
    "mistral": Case(f"[TOOL_CALLS]{JSON_LIST}", BOTH, "mistral"),
    "mistral, by name": Case(
        f"I look.[TOOL_CALLS]get_weather[ARGS]{ARGUMENTS}"
        "[TOOL_CALLS]ping[CALL_ID]a1b2c3d4e[ARGS]{}",
        (LOOK, *BOTH),
        "mistral",
    ),
    "magistral": Case("[THINK]Weather.[/THINK]I look.", (THOUGHT, LOOK), "mistral", "mistral"),
    "deepseek v3": Case(DEEPSEEK, (LOOK, *BOTH), "deepseek_v3"),
    "deepseek r1": Case(
        f"Weather.\n</think>\n\n{DEEPSEEK}",
        (THOUGHT, LOOK, *BOTH),
        "deepseek_v3",
        "think",
        "<｜Assistant｜><think>\n",
    ),
    "deepseek v3.1": Case(DEEPSEEK_31, (LOOK, *BOTH), "deepseek_v31", "think"),
    "deepseek v3.2": Case(DEEPSEEK_32, (LOOK, *BOTH), "deepseek_v32", "think"),
    "deepseek v3.2, no parameter": Case(
        DEEPSEEK_32.replace("</｜DSML｜parameter>", "").removeprefix("I look.\n\n"),
        (
            Content(
                '\n<｜DSML｜invoke name="get_weather">\n'
                '<｜DSML｜parameter name="city" string="true">Zürich\n'
                '<｜DSML｜parameter name="days" string="false">2\n</｜DSML｜invoke>'
            ),
            PING,
        ),
        "deepseek_v32",
    ),
    "internlm": Case(f"I look.\n{INTERNLM}<|action_end|>", (LOOK, WEATHER), "internlm"),
    "olmo3": Case(
        "I look.<function_calls>get_weather(city='Zürich', days=2)\nping()</function_calls>",
        (LOOK, *BOTH),
        "olmo3",
        "think",
    ),
    "gemma3": Case(f"I look.\n```tool_code\n{PYTHON}\n```", (LOOK, *BOTH), "gemma3"),
    "gemma3, list": Case(PYTHON, BOTH, "gemma3"),
    "gemma3, other code": Case(
        "```tool_code\nx = 1\n```", (Content("```tool_code\nx = 1\n```"),), "gemma3"
    ),
    "functiongemma": Case(FUNCTION_GEMMA, BOTH, "functiongemma"),
    "qwen3-coder, no tag": Case(
        "<tool_call>\n<function=ping>\n{}\n</function>\n</tool_call>",
        (Content("<tool_call>\n<function=ping>\n{}\n</function>\n</tool_call>"),),
        "qwen3_coder",
    ),
    "glm, no tag": Case(
        "<tool_call>ping\n{}</tool_call>",
        (Content("<tool_call>ping\n{}</tool_call>"),),
        "glm4_moe",
    ),
    "kimi": Case(KIMI, (LOOK, *BOTH), "kimi_k2"),
    "gpt-oss": Case(HARMONY, (THOUGHT, LOOK, *BOTH), "gpt_oss", "gpt_oss"),
    "gpt-oss, final": Case(
        "<|channel|>analysis<|message|>Weather.<|end|><|start|>assistant<|channel|>final"
        "<|message|>I look.",
        (THOUGHT, LOOK),
        "gpt_oss",
        "gpt_oss",
    ),
    "gemma4": Case(GEMMA, (THOUGHT, LOOK, *BOTH), "gemma4", "gemma4"),
    "cohere": Case(COHERE, (THOUGHT, *BOTH), "cohere", "cohere"),
    "cohere, response": Case(
        "<|START_RESPONSE|>I look.<|END_RESPONSE|>", (LOOK,), "cohere", "cohere"
    ),
    "call that is none": Case(
        "a <tool_call>{no}</tool_call> b <tool",
        (Content("a <tool_call>{no}</tool_call> b <tool"),),
        "hermes",
    ),
    "json that is none": Case('{"name": 1}', (Content('{"name": 1}'),), "llama3_json"),
    "list that is none": Case("[f(1)]", (Content("[f(1)]"),), "pythonic"),
    "white space": Case(" \n a \n", (Content(" \n a \n"),), "hermes", "think"),
}
