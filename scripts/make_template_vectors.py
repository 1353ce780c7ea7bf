#!/usr/bin/env python3
"""Writes tests/data/chat_templates.txt: what jinja2, set up as transformers sets
it up, makes of chat templates and of small pieces of the language.

    npm install --prefix FOLDER @huggingface/jinja      (somewhere outside the tree)
    python3 scripts/make_template_vectors.py FOLDER     (needs jinja2 3.1 and node)

The npm package is a second reference. On every conversation with every template the two
must agree, but for UNLIKE below; of the small pieces, which reach into corners that no
template uses, those on which it differs or which it cannot do carry a comment with what it
makes of them, and jinja2's word counts.

A case is a block of "key value" lines ended by an empty one:

    case NAME
    file NAME.jinja | source TEXT       the template (in src/templates or tests/data/templates)
    bos TEXT, eos TEXT, open 0|1        the other variables
    message ROLE TEXT                   repeated
    text TEXT | marked TEXT | error TEXT | fails

TEXT has \\n, \\r, \\t, \\\\ and \\xHH for what would not sit on a line. `marked` has \\[ and \\]
around what came from message contents; on which side of a mark white space stands is not
meant. `error` is the exact line expected; `fails` says only that jinja2 refuses, too.
"""
import json
import os
import subprocess
import sys

import jinja2
from jinja2.ext import Extension
from jinja2.sandbox import ImmutableSandboxedEnvironment

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
DATA = os.path.join(ROOT, "tests", "data")
FOLDERS = [os.path.join(ROOT, "src", "templates"), os.path.join(DATA, "templates")]

# Of messages[0] where there are no messages the npm package lets an attribute be asked for,
# jinja2 (and so transformers) does not.
UNLIKE = {f"{name}/none/1"
          for name in ("alpaca", "llama-2", "mistral-v0.2", "mistral-v0.3", "gemma")}


class Generation(Extension):
    """{% generation %}: the text inside is ordinary."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        call = self.call_method("render")
        return jinja2.nodes.CallBlock(call, [], [], body).set_lineno(line)

    def render(self, caller):
        return caller()


class Refused(jinja2.TemplateError):
    pass


def environment():
    env = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
    )

    def raise_exception(message):
        raise Refused(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                          sort_keys=sort_keys)

    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    return env


ENV = environment()


def variables(case, messages):
    return {"messages": messages, "add_generation_prompt": case["open"], "bos_token": case["bos"],
            "eos_token": case["eos"]}


def render(source, case, messages):
    return ENV.from_string(source).render(**variables(case, messages))


def messages_of(case):
    return [{"role": r, "content": c} for r, c in case["messages"]]


def ask_npm(folder, cases):
    """What the npm package renders: {"text": ...} or {"error": ...} of each case."""
    script = os.path.join(ROOT, "scripts", "template_vectors.mjs")
    asked = [[source, variables(case, messages_of(case))] for _, source, case, _ in cases]
    answer = subprocess.run(["node", script, folder], input=json.dumps(asked), check=True,
                            stdout=subprocess.PIPE, text=True, encoding="utf-8")
    answer = json.loads(answer.stdout)
    return answer["version"], answer["results"]


def difference(name, source, case, file, npm):
    """None where both references agree, else what the npm package makes of the case."""
    try:
        text = render(source, case, messages_of(case))
    except Exception:
        text = None
    same = npm.get("text") == text
    if file and same == (name in UNLIKE):
        sys.exit(f"{name}: jinja2 renders {text!r}, @huggingface/jinja {npm!r}")
    return None if same else escape(npm.get("text", npm.get("error"))[:100])


def escape(text):
    out = []
    for c in text:
        if c in "\\\n\r\t":
            out.append({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}[c])
        elif c < " " or c == "\x7f" or c in "\x85\u2028\u2029":
            out.extend("\\x%02x" % b for b in c.encode())
        else:
            out.append(c)
    return "".join(out)


def disguise(text):
    """The text with every character but white space moved to the private planes."""
    return "".join(c if c.isspace() else chr(0xF0000 + ord(c) % 0xFFFE) for c in text)


def mark(text, case, source):
    """`text` with marks around what came from contents, or None when the template
    looks into the contents and so treats disguised ones otherwise."""
    messages = [{"role": r, "content": disguise(c)} for r, c in case["messages"]]
    if any(c.isspace() and c not in " \t\n\r\v\f" for _, m in case["messages"] for c in m):
        return None
    try:
        disguised = render(source, case, messages)
    except Exception:
        return None
    if len(disguised) != len(text):
        return None
    out, inside = [], False
    for plain, seen in zip(text, disguised):
        literal = ord(seen) >= 0xF0000
        if not literal and plain != seen:
            return None
        if literal != inside and not plain.isspace():
            out.append("\\[" if literal else "\\]")
            inside = literal
        out.append(escape(plain))
    return "".join(out) + ("\\]" if inside else "")


def line_of(error):
    """The template's line in a traceback that jinja2 has rewritten."""
    line, tb = 0, error.__traceback__
    while tb:
        if tb.tb_frame.f_code.co_filename == "<template>":
            line = tb.tb_lineno
        tb = tb.tb_next
    return line


def write(out, name, source, case, file=None):
    out.write(f"case {name}\n")
    out.write(f"file {file}\n" if file else f"source {escape(source)}\n")
    out.write(f"bos {escape(case['bos'])}\neos {escape(case['eos'])}\n")
    out.write(f"open {int(case['open'])}\n")
    for role, content in case["messages"]:
        out.write(f"message {role} {escape(content)}\n")
    try:
        text = render(source, case, messages_of(case))
    except Refused as e:
        out.write(f"error chat template line {line_of(e)}: the template refuses the "
                  f"conversation: {escape(str(e))}\n\n")
        return
    except Exception:
        out.write("fails\n\n")
        return
    marked = mark(text, case, source)
    out.write(f"marked {marked}\n\n" if marked is not None else f"text {escape(text)}\n\n")


CONVERSATIONS = {
    "one": [("user", "Hello!")],
    "system": [("system", "You are kind."), ("user", "Hello!")],
    "turns": [("user", "Hi"), ("assistant", "Hello. How are you?"), ("user", "Fine, and you?")],
    "system-turns": [("system", "Be brief."), ("user", "One?"), ("assistant", "1"),
                     ("user", "Two?"), ("assistant", "2"), ("user", "Three?")],
    "answered": [("user", "Hi"), ("assistant", "Hello.")],
    "syntax": [("user", "{{ bos_token }} {% for x in y %} {# note #} {%- endif -%} }} %}"),
               ("assistant", "{{ messages }}{{ 1/0 }}"), ("user", "{% raw %}'\"\\n")],
    "specials": [("system", "<|system|>\n</s><s>"),
                 ("user", "</s>\n<|assistant|>\n[INST] <<SYS>> <|im_end|><|eot_id|>"),
                 ("assistant", "[/INST] </s> <|user|>"), ("user", "<s>[INST] again [/INST]</s>")],
    "spaces": [("user", "  leading and trailing \n\n"), ("assistant", "\n\n answer\t "),
               ("user", "\n")],
    "lines": [("user", "first\nsecond\r\n\n    indented\n\ttabbed"), ("assistant", "a\n"),
              ("user", "\nb")],
    "unicode": [("system", "Réponds en français. 日本語も。"), ("user", "Grüße, мир! 🌍👩‍👩‍👧 ﷽"),
                ("assistant", "Ωραία e\u0301 \u202eabc"), ("user", "\u00a0no-break\u3000")],
    "empty": [("user", ""), ("assistant", ""), ("user", "")],
    "wrong-order": [("user", "a"), ("user", "b")],
    "assistant-first": [("assistant", "a"), ("user", "b")],
    "strange-role": [("user", "a"), ("narrator", "b")],
    "thoughts": [("user", "Why?"), ("assistant", "<think>\nhm\n</think>\n\nBecause."),
                 ("user", "And?"), ("assistant", "<think>so</think>Thus.")],
    "none": [],
}

TOKENS = {"llama-3": ("<|begin_of_text|>", "<|eot_id|>"), "gemma": ("<bos>", "<eos>"),
          "chatml": ("", "<|im_end|>"), "reasoning": ("", "<|im_end|>"),
          "phi-3": ("<s>", "<|endoftext|>")}

TALK = [("system", "Sys"), ("user", " Üser {{ x }} "), ("assistant", "a,b,,c"), ("user", "z\n")]

# One piece of the language each; conversation: TALK.
PIECES = r"""
{{ 1 + 2 * 3 - 4 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 2 ** 10 }}
{{ 7 / 2 }} {{ 6 / 2 }} {{ 1.5 + 1 }} {{ 1e3 }} {{ 1e16 }} {{ 1e-5 }} {{ 0.1 + 0.2 }} {{ 2 ** -1 }} {{ -2 ** 2 }}
{{ 1e400 }} {{ 123456789.125 }} {{ 1e22 }} {{ 100000.0 }} {{ 5.0 // 2 }} {{ -5.5 % 3 }}
{{ 1 < 2 }} {{ 1 < 2 < 3 }} {{ 3 > 2 > 2 }} {{ 1 == 1.0 }} {{ true == 1 }} {{ 'a' < 'b' }} {{ 'a' != 'a' }}
{{ [1, 2] == [1, 2] }} {{ (1, 2) == [1, 2] }} {{ {'a': 1} == {'a': 1} }} {{ none == false }}
{{ not true }} {{ not not 1 }} {{ 0 or 'x' }} {{ 1 and 'y' }} {{ '' or none }} {{ not 1 == 2 }}
{{ 'a' in 'cat' }} {{ 'x' not in 'cat' }} {{ 2 in [1, 2] }} {{ 'k' in {'k': 1} }} {{ 'a' in missing }}
{{ 'a' ~ 1 ~ none ~ true ~ 1.0 }} {{ 1 ~ 2 + 3 ~ 4 }}
{{ 1 ~ 2 * 3 }}
{{ 'x' * 3 }} {{ 3 * 'ab' }} {{ [1] * 2 }} {{ 'x' * -1 }} {{ [1] + [2] }} {{ (1,) + (2,) }}
{{ 'yes' if true else 'no' }} {{ 'yes' if false }} {{ 1 if 0 else 2 if 0 else 3 }}
{{ missing }} {{ missing is defined }} {{ messages is defined }} {{ missing is undefined }} {{ not missing }}
{{ missing.attribute }}
{{ missing['item'] }}
{{ missing() }}
{{ missing + 1 }}
{{ messages[0].missing }} {{ messages[0].missing.more is defined }}
{{ messages[9] }} {{ messages[9] is defined }} {{ messages[-1].role }} {{ messages[-9] }}
{{ messages[0]['role'] }} {{ messages.0.role }} {{ messages[1].content }}|
{{ 'abc'[0] }} {{ 'abc'[-1] }} {{ 'abc'[5] }} {{ 'äöü'[1] }} {{ 'äöü'|length }}
{{ 'abcdef'[1:3] }} {{ 'abcdef'[:-2] }} {{ 'abcdef'[-2:] }} {{ 'abcdef'[::-1] }} {{ 'abcdef'[::2] }} {{ 'abcdef'[4:1:-2] }} {{ 'abc'[5:] }} {{ 'abc'[2:1] }} {{ 'äöü'[1:] }} {{ 'abc'[-9:9] }} {{ 'abc'[::-9] }}
{{ [1,2,3,4][1:] }} {{ [1,2,3,4][::-1] }} {{ (1,2,3)[:2] }} {{ [1,2,3][:-5] }} {{ [1,2,3][none:2] }}
{{ messages[1].content[::-1] }} {{ messages[1].content[2:5] }} {{ messages[2].content[::2] }}
{{ [1, 'two', 3.0, none, true, [4], (5,), {'k': 'v'}] }} {{ [] }} {{ {} }} {{ () }} {{ 1, 2 }}
{{ ['it''s', "it's", 'say "hi"', "both ' and \"", 'tab\t', 'nl\n', 'back\\', '\x00\x7f\x85', 'é', '\u200b', '🌍'] }}
{{ 'a\nb\tc\\d\'e\"f\x41\u00e9\U0001F30D\101\q' }} {{ "a" 'b' }}
{{ 'a
b' }}
{% set x = 1 %}{{ x }}{% set x = x + 1 %}{{ x }}{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set (c, d) = 'xy' %}{{ c }}{{ d }}
{% set a, b = [1, 2, 3] %}
{% set x %} block {{ 1 + 1 }} {% endset %}[{{ x }}]
{% set x | trim | upper %} block {% endset %}[{{ x }}]
{% filter upper | replace('A', 'b') %} banana {% endfilter %}
{% set ns = namespace(a=1, b='x') %}{% set ns.a = ns.a + 1 %}{% set ns.c = 3 %}{{ ns.a }}{{ ns.b }}{{ ns.c }}{{ ns.d }}{{ ns['a'] }}
{% set d = dict(a=1, b=2) %}{{ d }}{{ d.a }}{{ d['b'] }}{{ d.get('c') }}{{ d.get('c', 5) }}{{ d.items() | list }}{{ d.keys() | list }}{{ d.values() | list }}
{% set messages.x = 1 %}
{% for x in [1, 2, 3] %}{{ x }}{% if not loop.last %}, {% endif %}{% endfor %}
{% for x in [] %}x{% else %}empty{% endfor %} {% for x in missing %}x{% else %}none{% endfor %}
{% for x in 'äb' %}<{{ x }}>{% endfor %} {% for x in {'p': 1, 'q': 2} %}{{ x }}{% endfor %}
{% for k, v in {'p': 1, 'q': 2}.items() %}{{ k }}={{ v }};{% endfor %} {% for k, v in {'p': 1} | items %}{{ k }}{{ v }}{% endfor %}
{% for x in range(3) %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.previtem }}{{ loop.nextitem }} {% endfor %}
{% for x in range(2) %}{% for y in range(2) %}{{ loop.depth }}{{ loop.depth0 }}{{ loop.index }}{{ x }}{{ y }} {% endfor %}{{ loop.index }}{% endfor %}
{% for x in range(10) if x is odd %}{{ x }}/{{ loop.length }} {% endfor %} {% for x in range(3) if x > 5 %}{% else %}none{% endfor %}
{% for x in range(10) %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 5 %}{% break %}{% endif %}{{ x }}{% endfor %}
{% for x in range(5, 0, -2) %}{{ x }}{% endfor %} {{ range(3) | list }} {{ range(2, 4) | list }}
{% for x in range(2) %}{% set y = x %}{{ y }}{% endfor %}{{ y is defined }}
{% set y = 9 %}{% for x in range(2) %}{{ y }}{% set y = x %}{{ y }} {% endfor %}{{ y }}
{% if true %}{% set y = 3 %}{% endif %}{{ y }}
{% for m in messages | selectattr('role', 'equalto', 'user') %}[{{ m.content }}]{% endfor %}
{% for m in messages | rejectattr('role', 'eq', 'user') %}[{{ m.content }}]{% endfor %}
{{ messages | map(attribute='role') | join(', ') }} {{ messages | map(attribute='x', default='?') | join }} {{ ['a', 'b'] | map('upper') | list }} {{ [1, 0, 2] | select | list }} {{ [1, 2, 3] | select('odd') | list }} {{ [1, 2, 3] | reject('>', 1) | list }}
{{ messages | map(attribute='content') | list }}
{{ messages | length }} {{ messages | count }} {{ {'a': 1} | length }} {{ missing | length }}
{% macro m(a, b=2, c='x') %}({{ a }},{{ b }},{{ c }}){% endmacro %}{{ m(1) }}{{ m(1, c='y') }}{{ m() }}{{ m(1, 2, 3) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=1) }}
{% macro fact(n) %}{% if n > 1 %}{{ n * (fact(n - 1) | int) }}{% else %}1{% endif %}{% endmacro %}{{ fact(10) }}
{% set g = 5 %}{% macro m() %}{{ g }}{% set g = 6 %}{{ g }}{% endmacro %}{{ m() }}{{ g }}
{% macro m(x) %}[{{ x }}]{% endmacro %}{% for msg in messages %}{{ m(msg.content) }}{{ m(msg.role | upper) }}{% endfor %}
{{ '  a b  ' | trim }}|{{ 'xxaxx' | trim('x') }}|{{ '  a  '.strip() }}|{{ '  a  '.lstrip() }}|{{ '  a  '.rstrip() }}|{{ 'xyaxy'.strip('yx') }}|{{ 'éaé'.strip('é') }}
{{ 'Hello World' | upper }} {{ 'Hello' | lower }} {{ 'hello wORLD-foo(bar) it''s' | title }} {{ 'hELLO wORLD' | capitalize }} {{ "they're bill's" .title() }} {{ 'aB'.upper() }}{{ 'aB'.lower() }}{{ 'aB'.capitalize() }}
{{ 'élan ÉCOLE Ωμέγα привет ПРИВЕТ Žluť' .upper() if false else 'élan ñandú привет Žluť' | upper }} {{ 'ÉCOLE ПРИВЕТ' | lower }} {{ '日本語' | upper }}
{{ 'a-b-c'.replace('-', '+') }} {{ 'a-b-c' | replace('-', '') }} {{ 'aaa' | replace('a', 'b', 2) }} {{ 'abc'.replace('', '.') }} {{ 'abc'.replace('', '.', 2) }} {{ ''.replace('', 'x') }} {{ 'aaa'.replace('aa', 'b') }} {{ 12 | replace(1, 3) }}
{{ 'a,b,,c'.split(',') }} {{ 'a,b,c'.split(',', 1) }} {{ '  a  b c '.split() }} {{ ' a b  c '.split(none, 1) }} {{ ''.split(',') }} {{ ''.split() }} {{ 'a,b,c'.rsplit(',', 1) }} {{ ' a b  c '.rsplit(none, 1) }} {{ 'a--b'.split('--')[-1] }}
{{ 'a'.split('') }}
{{ 'a\nb\r\nc\rd\n'.splitlines() }} {{ 'a\n\nb'.splitlines(true) }} {{ ''.splitlines() }}
{{ 'abc'.startswith('ab') }} {{ 'abc'.endswith('bc') }} {{ 'abc'.startswith(('x', 'a')) }} {{ 'abc'.startswith('abcd') }} {{ 'abc'.find('c') }} {{ 'abc'.find('x') }} {{ 'éb'.find('b') }} {{ 'abab'.count('ab') }} {{ 'ab'.count('') }} {{ 'pre-x'.removeprefix('pre-') }} {{ 'x.y'.removesuffix('.y') }}
{{ ', '.join(['a', 'b']) }} {{ ['a', 1, none] | join('-') }} {{ [1, 2] | join }} {{ messages | join(',', attribute='role') }}
{{ ','.join([1]) }}
{{ [1, 2, 3] | first }} {{ [1, 2, 3] | last }} {{ [] | first }} {{ 'abc' | first }} {{ 'abc' | last }} {{ [1, 2] | reverse | list }} {{ 'abc' | reverse }}
{{ missing | default('d') }} {{ '' | default('d') }} {{ '' | default('d', true) }} {{ missing | d }} {{ none | default('d') }} {{ none | d('d', boolean=true) }}
{{ '12' | int }} {{ ' -12 ' | int }} {{ '1.9' | int }} {{ 'x' | int }} {{ 'x' | int(7) }} {{ 1.9 | int }} {{ -1.9 | int }} {{ true | int }} {{ none | int(3) }} {{ '1.5' | float }} {{ 'x' | float }} {{ 3 | float }} {{ -3 | abs }} {{ -1.5 | abs }} {{ -1|abs }}
{{ 1 | string + 'x' }} {{ [1] | string }} {{ '<b>' | safe }} {{ 'abc' | list }} {{ {'a': 1} | list }}
{{ {'a': [1, 2.5, none, true, "x\"y\\\n\té\u0001"], 'b': {}, 'c': []} | tojson }} {{ 'é' | tojson(ensure_ascii=true) }} {{ '🌍' | tojson(true) }} {{ 'é' | tojson }}
{{ {'b': [1, {'c': []}], 'a': {}} | tojson(indent=2) }} {{ {'b': 1, 'a': 2} | tojson(sort_keys=true) }} {{ {1: 2, true: 3, none: 4} | tojson }} {{ [1, 2] | tojson(separators=(',', ':')) }}
{{ messages[:3] | tojson }} {{ messages[1].content | tojson }}
{{ missing | tojson }}
{{ 'a\nb\n\nc' | indent }}| {{ 'a\nb' | indent(2) }} {{ 'a\nb' | indent(2, true) }} {{ 'a\n\nb' | indent('> ', true, true) }} {{ 'a\n' | indent }}|
{{ 1 is odd }} {{ 2 is even }} {{ 6 is divisibleby 3 }} {{ 6 is divisibleby(4) }} {{ 1 is number }} {{ 'a' is string }} {{ [] is sequence }} {{ 'a' is sequence }} {{ {} is mapping }} {{ [] is mapping }} {{ {} is sequence }} {{ 1 is sequence }} {{ 1 is iterable }} {{ 'a' is iterable }} {{ true is boolean }} {{ 1 is boolean }} {{ true is true }} {{ 1 is true }} {{ false is false }} {{ none is none }} {{ none is not none }} {{ 1 is integer }} {{ 1.0 is float }} {{ 1 is equalto 1 }} {{ 1 is eq(2) }} {{ 1 is ne 2 }} {{ 1 is in [1] }} {{ 'a' is lower }} {{ 'A1' is upper }} {{ '1' is upper }} {{ range is callable }} {{ 1 is lt 2 }} {{ 1 is ge 2 }}
{{ not x is defined }} {{ x is not defined and 1 }} {{ (x is defined) == false }} {{ 1 + 1 is eq 2 }}
{{ -1 }} {{- -1 }} {{ +1 }} {{ - 1 + 2 }} {{ -(1) }}
{{ messages[1:] | length }} {{ (messages | first).role }} {{ (messages | map(attribute='role') | list)[0] }}
{{ messages[0].items() | list }} {{ messages[0]['keys']() | list }}
{{ messages.append(1) }}
{{ messages[0].update({}) }}
{{ messages[0].pop('role') }}
{{ raise_exception('no ' ~ 1) }}
a{{ '\n' }}{{ raise_exception('at line 1') }}
{% if false %}{{ raise_exception('x') }}{% endif %}fine
{% if 0 %}a{% elif '' %}b{% elif 'x' %}c{% else %}d{% endif %}
{% generation %}gen {{ 1 }}{% set q = 1 %}{% endgeneration %}{{ q is defined }}
{% raw %}{{ not }} {% this %} {# too #}{% endraw %}|{%- raw -%}  x  {%- endraw -%}  |
{# comment #}a{#- strip -#} b {#+ keep #} c
{{ '}}' }}{{ "%}" }}{{ {'a': {'b': 1}}['a']['b'] }}{{ {'a':{'b':1}} }}
{{ 'a' if messages[0]['role'] == 'system' else 'b' }}{{ bos_token }}{{ eos_token }}{{ add_generation_prompt }}
{{ messages[1]['content'] | trim }}|{{ messages[1].content.strip() + '!' }}|{{ messages[2].content.split(',') | join(';') }}|{{ messages[1].content.replace('x', 'yy') }}|{{ messages[1].content ~ messages[2].content }}|{{ (messages[1].content ~ 'q')[3:] }}
{% set s %}<{{ messages[1].content }}>{% endset %}{{ s }}{{ s[2:-2] }}{{ s * 2 }}
{{ messages[1].content | upper }}{{ messages[1].content | title }}
{{ messages[3].content | indent(2, true) }}
{{ messages[0] }}
{{ (1, 2)[0] }}{{ {'a': 1}.a }}{{ [[1, 2], [3]][0][1] }}{{ {'items': 3}.items is callable }}{{ {'items': 3}['items'] }}
{{ {1: 'a', 'b': 2}[1] }}{{ 10000000000 * 10000000 }}
{{ 1 and }}
{{ 1 2 }}
{{ (1 }}
{{ [1, 2 }}
{{ 'a }}
{{ }}
{{ a.b.c }}
{% endif %}
{% if 1 %}
{% for x in y %}{% endif %}
{% for x y %}{% endfor %}
{% unknown %}
{% %}
{% set 1 = 2 %}
{% set true = 2 %}
{% break %}
{{ 1 | nofilter }}
{{ 1 is notest }}
{{ 'a' | replace('a') }}
{{ 1 / 0 }}
{{ 1 % 0 }}
{{ 'a' + 1 }}
{{ [1] + 'a' }}
{{ 1 < 'a' }}
{{ 1 in 'a' }}
{{ 1 in 2 }}
{% for x in 3 %}{% endfor %}
{{ {[1]: 2} }}
{# open
{% raw %} open
{{ open
{% open
{{ 1) }}
{{ [1) }}
{{ a! }}
{{ 5() }}
{{ range(3)[::0] }}
{{ range(1, 5, 0) }}
{{ 'x' is defined is none }}
{{ {'a': 1} | tojson(nothing=1) }}
{{ range(200000) | length }}
{{ messages[0][1:] }}
{{ 0 if 1and 2else 3 }}
{{ missing[1:] }}
""".strip("\n")

# White space control: "\n" is a newline here.
SPACES = [
    "a\n{% if 1 %}\nb\n{% endif %}\nc\n", "a\n  {% if 1 %}  \nb\n  {% endif %}\nc",
    "a {% if 1 %} b {% endif %} c", "a\n  {%- if 1 -%}\n  b\n  {%- endif -%}\n  c\n\n",
    "a\n  {%+ if 1 %}\nb{%+ endif %}\nc", "a\n {% if 1 +%}\nb{% endif +%}\nc",
    "  {{ 1 }}  \n  {{- 2 -}}  \n  {{ 3 }}\n", "  {# c #}\nx\n  {# c #}  \ny {# c #}\nz",
    "x\n{#- c -#}\ny", "x\n  {#+ c +#}\ny", "{% set a = 1 %}\n\n{{ a }}\n\n", "\n", "", "\n\n", "x\r\ny\rz\r\n",
    "{%- set a = 1 -%}\n\n x", "\t{% if 1 %}\t{% endif %}\tx", "{{ 1 }}\n{% if 1 %}\nx{% endif %}",
    "\u00a0{% if 1 %}x{% endif %}\u00a0{%- if 1 -%}\u00a0y{% endif %}\u3000{{- 1 -}}\u2003z",
    "{% if 1 %}\n  {% if 1 %}\n  x\n  {% endif %}\n{% endif %}\n", "  {% raw %}\n x \n  {% endraw %}\n y",
    "  {%- raw %}\n x \n  {%- endraw +%}\n y", "{{ 1 }} {{ 2 }}\n\n{{ 3 -}}\n\n\n4", "{{ '\r\n' }}|{{ 'a\rb' }}",
    "{% if 1 %}{% endif %}\n{% if 1 %}{% endif %}\n\n", "{%-if 1-%} x {%-endif-%} y", "{{-1-}}", "{%if 1%}a{%endif%}",
    "{{1}}{{\n2\n}}\n\n{{ raise_exception('late') }}", "{% if 1 %}\n\n{{\n\nraise_exception('later') }}{% endif %}",
    "a\n\x0b\x0c {% if 1 %}x{% endif %}", "{% for x in [1,2] %}\n  {{ x }}\n{% endfor %}\n",
    "{%- for x in [1,2] %}\n  {{- x }}\n{%- endfor %}\n", "{ { x } } {x} {%{% raw %}", "{", "{{ '{' }}{", "}} %} #}",
    "{# ", "{{", "{%", "{#}#}x", "{#-#}x", "{#--#} x", "{##}x", "{{ {} }}", "{{ {}}}", "{{ {'a':1}-}} x",
]


def golden_cases():
    with open(os.path.join(ROOT, "models", "demo", "tokenizer_config.json")) as f:
        source = json.load(f)["chat_template"]
    with open(os.path.join(FOLDERS[0], "zephyr.jinja"), newline="") as f:
        if f.read() != source:
            sys.exit("zephyr.jinja is not the demo checkpoint's template")
    with open(os.path.join(DATA, "golden.json"), encoding="utf-8") as f:
        chats = json.load(f)["chats"]
    for i, chat in enumerate(chats):
        case = {"bos": "<s>", "eos": "</s>", "open": True,
                "messages": [(m["role"], m["content"]) for m in chat["messages"]]}
        if render(source, case, chat["messages"]) != chat["prompt"]:
            sys.exit(f"golden.json's prompt {i} is not what its template renders")
        yield f"golden-{i}", source, case, "zephyr.jinja"


def template_cases():
    for folder in FOLDERS:
        for name in sorted(os.listdir(folder)):
            with open(os.path.join(folder, name), encoding="utf-8", newline="") as f:
                source = f.read()
            bos, eos = TOKENS.get(name[:-6], ("<s>", "</s>"))
            for talk, messages in CONVERSATIONS.items():
                for opened in (False, True) if talk in ("turns", "answered") else (True,):
                    case = {"bos": bos, "eos": eos, "open": opened, "messages": messages}
                    yield f"{name[:-6]}/{talk}/{int(opened)}", source, case, name


def piece_cases():
    pieces = PIECES.split("\n")
    pieces[pieces.index("{{ 'a"):pieces.index("{{ 'a") + 2] = ["{{ 'a\nb' }}"]
    case = {"bos": "<s>", "eos": "</s>", "open": True, "messages": TALK}
    for i, source in enumerate(pieces + SPACES):
        yield f"piece-{i}", source, case, None


def main():
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} FOLDER (that holds node_modules/@huggingface/jinja)")
    cases = [*golden_cases(), *template_cases(), *piece_cases()]
    version, npm = ask_npm(sys.argv[1], cases)
    unlike = [difference(*case, said) for case, said in zip(cases, npm)]
    agreed = sum(said is None for said in unlike)
    with open(os.path.join(DATA, "chat_templates.txt"), "w", encoding="utf-8", newline="") as out:
        out.write("# Made by scripts/make_template_vectors.py with jinja2 "
                  f"{jinja2.__version__}; not to be edited.\n"
                  f"# @huggingface/jinja {version} agrees on {agreed} of {len(cases)} cases; the "
                  "others say what it makes of them.\n\n")
        for (name, source, case, file), said in zip(cases, unlike):
            if said is not None:
                out.write(f"# npm: {said}\n")
            write(out, name, source, case, file)
    print(f"{len(cases)} cases, {agreed} with both references agreeing")


main()
