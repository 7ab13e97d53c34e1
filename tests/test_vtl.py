"""Mapping templates: each case names the page, or the recording against AWS, that its expectation rests on."""

from __future__ import annotations

import json
import time
from typing import Any

import airspeed
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.localaws import vtl
from tests.seeded import seeded

DOCS = "https://docs.aws.amazon.com/apigateway/latest/developerguide/"
REFERENCE = DOCS + "api-gateway-mapping-template-reference.html"
OVERRIDE = DOCS + "apigateway-override-request-response-parameters.html"
LIMITS = DOCS + "limits.html"
VELOCITY = "https://velocity.apache.org/engine/devel/vtl-reference.html"  # to which AWS's reference sends its readers
RECORDED = "localstack/airspeed tests/test_templating.snapshot.json, recorded against API Gateway"
FORM_DATA = "https://stackoverflow.com/questions/32057053 (templates for form data that run on AWS)"

# AWS's "Method Request passthrough" template, as the console offers it.
PASSTHROUGH = """#set($allParams = $input.params())
{
"body-json" : $input.json('$'),
"params" : {
#foreach($type in $allParams.keySet())
    #set($params = $allParams.get($type))
"$type" : {
    #foreach($paramName in $params.keySet())
    "$paramName" : "$util.escapeJavaScript($params.get($paramName))"
        #if($foreach.hasNext),#end
    #end
}
    #if($foreach.hasNext),#end
#end
},
"stage-variables" : {
#foreach($key in $stageVariables.keySet())
"$key" : "$util.escapeJavaScript($stageVariables.get($key))"
    #if($foreach.hasNext),#end
#end
},
"context" : {
    "account-id" : "$context.identity.accountId",
    "api-id" : "$context.apiId",
    "api-key" : "$context.identity.apiKey",
    "authorizer-principal-id" : "$context.authorizer.principalId",
    "caller" : "$context.identity.caller",
    "http-method" : "$context.httpMethod",
    "stage" : "$context.stage",
    "source-ip" : "$context.identity.sourceIp",
    "user" : "$context.identity.user",
    "user-agent" : "$context.identity.userAgent",
    "user-arn" : "$context.identity.userArn",
    "request-id" : "$context.requestId",
    "resource-id" : "$context.resourceId",
    "resource-path" : "$context.resourcePath"
    }
}
"""
PETS = '{"pets": [{"id": 1, "price": 249.99}, {"id": 2, "price": 0.10}], "n": null, "s": "x\'y", "a-b": {"c d": 7}}'
PARAMS = {"path": {"id": "p"}, "querystring": {"id": "q", "only": "1"}, "header": {"id": "h", "X-Y": 'say "hi"'}}


def render(template: str, body: str = "", **variables: Any) -> str:
    names = {"input": vtl.Input(body, PARAMS), "util": vtl.UTIL, "stageVariables": {"v": "1"}, "context": {}}
    return vtl.compile_template(template)(names | variables)


INPUT = [
    (REFERENCE, "$input.body", PETS, PETS),
    (RECORDED, "$input.body", "", "{}"),
    (REFERENCE, "$input.json('$')", '{"price": 2.50, "n": 36893488147419103233}', None),
    (REFERENCE, "$input.json('$.pets')", PETS, '[{"id":1,"price":249.99},{"id":2,"price":0.1}]'),
    (REFERENCE, "$input.json('$.pets[1].id')", PETS, "2"),
    (REFERENCE, "$input.json(\"$['a-b']['c d']\")", PETS, "7"),
    (REFERENCE, "$input.json('$.pets[*].id')", PETS, "[1,2]"),
    (REFERENCE, "$input.json('$.n')", PETS, "null"),
    (REFERENCE, "$input.json('$.missing')", PETS, '""'),
    (REFERENCE, "$input.json('$')", "", "{}"),
    (REFERENCE, "$input.json('$.id')", '{"id": 36893488147419103233}', "36893488147419103233"),
    (REFERENCE, "[$input.path('$.missing')]", PETS, "[]"),
    (REFERENCE, "$input.path('$.pets').size()", PETS, "2"),
    (REFERENCE, "#set($root = $input.path('$'))$root.pets[0].price", PETS, "249.99"),
    (REFERENCE, "$input.path('$.pets')", PETS, '[{"id":1,"price":249.99},{"id":2,"price":0.1}]'),
    (RECORDED, "$input.path('$')", '{"a": 1, "b": [{"c": 5}], "d": null}', '{a=1, b=[{"c":5}], d=null}'),
    (FORM_DATA, "#foreach($t in $input.path('$').split('&'))<$t.split('=')[1]>#end", "a=1&b=2", "<1><2>"),
    (FORM_DATA, "$input.json('$')", "a=1&b=2", '"a=1&b=2"'),
    (REFERENCE, "$input.params('id') $input.params('only') $input.params('X-Y')", "", 'p 1 say "hi"'),
    (REFERENCE, "[$input.params('missing')]", "", "[]"),
    (REFERENCE, "$input.params().header.get('X-Y') $input.params().querystring.only", "", 'say "hi" 1'),
    (FORM_DATA, "$input.params()", "", '{path={id=p}, querystring={id=q, only=1}, header={id=h, X-Y=say "hi"}}'),
    (REFERENCE, "$stageVariables.v $stageVariables['v'] ${stageVariables['v']}", "", "1 1 1"),
]


@pytest.mark.parametrize(("page", "template", "body", "expected"), INPUT)
def test_input(page: str, template: str, body: str, expected: str | None) -> None:
    assert render(template, body) == (body if expected is None else expected), page


UTIL = [
    (REFERENCE, """$util.escapeJavaScript("it's")""", "it\\'s"),
    (REFERENCE, """$util.escapeJavaScript($input.params('X-Y'))""", 'say \\"hi\\"'),
    (REFERENCE, r"""$util.escapeJavaScript("it's").replaceAll("\\'","'")""", "it's"),
    (REFERENCE, '#set($o = $util.parseJson(\'{"k": {"arr": [1, 2, 3]}}\'))$o.k.arr[0]', "1"),
    (REFERENCE, "$util.urlEncode('a b&c=ü') $util.urlDecode('a+b%26')", "a+b%26c%3D%C3%BC a b&"),
    (REFERENCE, "$util.base64Encode('hällo') $util.base64Decode('aMOkbGxv')", "aMOkbGxv hällo"),
]


@pytest.mark.parametrize(("page", "template", "expected"), UTIL)
def test_util(page: str, template: str, expected: str) -> None:
    assert render(template) == expected, page


def test_escapes_are_json_once_the_quote_is_turned_back() -> None:
    text = "\x00\x1f\"\\/'\n\t\u20ac\U0001f600<>"
    escaped = render(r"""$util.escapeJavaScript($t).replaceAll("\\'","'")""", t=text)
    assert escaped.isascii() and json.loads(f'"{escaped}"') == text, REFERENCE


LANGUAGE = [
    (RECORDED, "Hi $name, ${name}! $!name }", {}, "Hi , !  }"),
    (RECORDED, "Cost: $ 5, $5 and 5$ .", {}, "Cost: $ 5, $5 and 5$ ."),
    (RECORDED, "#if($gone)yes#end#if($m.gone)yes#end#if(!$gone)no#end", {"m": {}}, "yesyes"),
    (RECORDED, "#if($f)yes#else no#end", {"f": False}, " no"),
    (RECORDED, "#if($a == 1)1#elseif($a == 2)2#{else}other#{end}.", {"a": 2}, "2."),
    (RECORDED, "#if($a gt 1 && $a lt 3 or $b)y#end", {"a": 2, "b": False}, "y"),
    (RECORDED, "#set($x = 2 + 3 * 4 - 1)$x #set($y = (2 + 3) * 4)$y #set($z = 7 % 4)$z", {}, "13 20 3"),
    (RECORDED, "#set($x = 4 > 2 + 5)$x #set($y = 100.0 / 50)$y #set($z = .5*.1)$z", {}, "false 2.0 0.05"),
    (VELOCITY, "#set($x = -7 / 2)$x #set($y = 7 / 2)$y", {}, "-3 3"),
    (VELOCITY, "#set($x = 'a' + 1)$x #set($y = $s + '&')$y", {"s": "b"}, "a1 b&"),
    (VELOCITY, "#if($n == '200')same#end#if($gone > 1)more#end", {"n": 200}, "same"),
    (VELOCITY, "#if($gone && $gone.size() > 0)a#else b#end", {}, " b"),
    (RECORDED, "#foreach($i in [1..3])$i$velocityCount#if($foreach.hasNext),#end#end$!i", {}, "11,22,33"),
    (RECORDED, "#foreach($i in [2..-1])$i#if($foreach.first)F#end#if($foreach.last)L#end #end", {}, "2F 1 0 -1L "),
    (RECORDED, "#foreach($i in [1,2])#foreach($j in ['a'])$foreach.index$i$j#end|$foreach.index #end", {},
     "01a|0 02a|1 "),
    (RECORDED, "#set($v = 0)#foreach($i in [1,2])#set($v = $i)#end$v", {}, "2"),
    (RECORDED, "#set($i = 1)#foreach($i in [2, 3])$i#set($i = 9)#end$i", {}, "231"),
    (VELOCITY, "#foreach($i in [1])#set($new = 5)#end$new", {}, "5"),
    (VELOCITY, "#foreach($v in $m)$v#end", {"m": {"a": 1, "b": 2}}, "12"),
    (VELOCITY, "#foreach($i in [1..9])#if($i == 3)#break#end$i#end.", {}, "12."),
    (LIMITS, "#foreach($i in [1..1500])x#end", {}, "x" * 1000),
    (RECORDED, "#foreach($v in $gone)x#end#foreach($v in 5)x#end", {}, ""),
    (RECORDED, "a #stop b", {}, "a "),
    (RECORDED, "## note\na## b\nc #* d\n e *#\nf", {}, "ac \nf"),
    (RECORDED, "#set($d = '{\"a\": $x}')$d #set($e = \"{\"\"a\"\": $x}\")$e", {"x": 2}, '{"a": $x} {"a": 2}'),
    (RECORDED, '#set($s = "a#if($b),#end")$s', {"b": True}, "a,"),
    (RECORDED, "#set($m = {})$m.put('k', 'v')$m.k $m.toString() #set($m['l'] = 1)$m.l", {}, "v {k=v} 1"),
    (RECORDED, "#set($l = ['one', 'two'])#set($l[1] = 'x')$l $l.add('y')$l.size()", {}, "[one, x] true3"),
    (RECORDED, "$m.keySet() $m.size() $m.containsKey('a') $m.isEmpty()", {"m": {"a": 1, "b": 2}},
     "[a, b] 2 true false"),
    (VELOCITY, "#foreach($e in $m.entrySet())$e.key=$e.value $e.getKey();#end", {"m": {"a": 1}}, "a=1 a;"),
    (RECORDED, "$l.get(1) $l.contains('b') $l[0] [$l[9]]", {"l": ["a", "b"]}, "b true a []"),
    (RECORDED, "$s.length() $s.substring(1, 3) $s.indexOf('z') $s.matches('[a-c]+') $s.contains('bc')", {"s": "abc"},
     "3 bc -1 true true"),
    (RECORDED, "$s.replaceAll('(b)c', '$1$1') $s.toUpperCase() $s.split('b')[1] $s.equals('abc')", {"s": "abc"},
     "abb ABC c true"),
    (RECORDED, "$a.b.c['x:y'] $a['b'].c.get('x:y')", {"a": {"b": {"c": {"x:y": 1}}}}, "1 1"),
    (RECORDED, "#tryme() #evaluate($x) #return($x)", {"x": 1}, "#tryme() #evaluate($x) #return($x)"),
    (RECORDED, 'a "#" #13ff93 <a href="#">', {}, 'a "#" #13ff93 <a href="#">'),
    (RECORDED, "$t $f $n", {"t": True, "f": 2.5, "n": None}, "true 2.5 "),
]  # fmt: skip


@pytest.mark.parametrize(("page", "template", "variables", "expected"), LANGUAGE)
def test_language(page: str, template: str, variables: dict[str, Any], expected: str) -> None:
    assert render(template, **variables) == expected, page


@pytest.mark.parametrize(
    "template",
    [
        "#if($a)", "#end", "#foreach($x in )#end", "${a", "#set($a)", "#set($a.b.c = 1)", "$input.json('$..x')",
        "$util.parseJson('{')", "$s.substring()", "#define($x)y#end$x", "$s.matches('(')", "(" * 5 + "#if" + "(" * 400,
        "#if($a)" * 150 + "#end" * 150, "$input.params(1, 2)", "#set($l = [])$l.get(3)",
    ],
)  # fmt: skip
def test_what_fails_is_a_template_error(template: str) -> None:
    with pytest.raises(vtl.TemplateError):
        render(template, "{}", s="abc")


@pytest.mark.parametrize("body", ['{"a": ', "[1, 2", '{"a": NaN}', "{'a': 1}", "[" * 100_000])
@pytest.mark.parametrize("template", ["$input.json('$')", "$input.path('$.a')", "$input.json('$.a')"])
def test_a_broken_payload_is_told_from_a_broken_template(template: str, body: str) -> None:
    with pytest.raises(vtl.PayloadError):
        render(template, body)


@pytest.mark.parametrize(
    "template",
    [
        "$input.__class__", "$input._params", "$input.json.__globals__", "$util.__init__", "$s.__class__.__mro__",
        "$s.format('x')", "$l.__class__", "$s.encode()", "$input.params().__class__",
    ],
)  # fmt: skip
def test_a_template_reaches_nothing_of_python(template: str) -> None:
    assert render(template, s="{0.__class__}", l=[1]).strip() == ""


def test_names_and_texts_enter_the_function_as_literals_only() -> None:
    hostile = "'''\\\n\"\"\"{__import__('os')}\\x00\u2028%s"
    assert render(hostile) == hostile
    assert render(f'#set($a = "{hostile.replace(chr(34), "")}")$a') == hostile.replace('"', "")


def test_an_override_lands_in_the_context() -> None:
    context: dict[str, Any] = {"responseOverride": {"header": {}}, "requestOverride": {"header": {}}}
    template = (
        "#set($context.responseOverride.status = 400)#set($context.responseOverride.header.X-A = 'b')"
        "#set($context.requestOverride.header['x y'] = $input.params('id'))"
    )
    assert render(template, context=context) == "", OVERRIDE
    assert context["responseOverride"] == {"status": 400, "header": {"X-A": "b"}}
    assert context["requestOverride"] == {"header": {"x y": "p"}}


def test_the_passthrough_template_gives_the_whole_request() -> None:
    context = {"apiId": "abc", "identity": {"sourceIp": "127.0.0.1", "apiKey": None}, "stage": "P"}
    event = json.loads(render(PASSTHROUGH, PETS, context=context))
    assert event["body-json"] == json.loads(PETS) and event["params"] == PARAMS, REFERENCE
    assert event["stage-variables"] == {"v": "1"} and event["context"]["api-id"] == "abc"
    assert event["context"]["api-key"] == "" and event["context"]["source-ip"] == "127.0.0.1"
    assert json.loads(render(PASSTHROUGH))["body-json"] == {}


def best(call: Any, times: int) -> float:
    """The least CPU seconds of one call."""
    spent = []
    for _ in range(times):
        start = time.process_time_ns()
        call()
        spent.append((time.process_time_ns() - start) / 1e9)
    return min(spent)


def test_rendering_is_cheap() -> None:
    row = '{"RowId":"online-retail:000142","Description":"WHITE HANGING HEART T-LIGHT HOLDER","UnitPrice":"2.55"}'
    batch = "[" + ",".join([row] * 1000) + "]"
    assert best(lambda: render(PASSTHROUGH, row), 200) < 0.2e-3
    assert len(batch) > 100_000 and best(lambda: vtl.Input(batch, PARAMS).json("$"), 30) < 1e-3


# The same templates by airspeed's own walk: what both know must come out the same.
WORLD: dict[str, Any] = {"s": "abc", "n": 3, "t": True, "f": False, "m": {"k": "v", "o": {"p": "q"}}, "l": ["x", "y"]}
values = st.sampled_from(
    ["$s", "$!s", "${s}", "$n", "$m.k", "$m.o.p", "$m.get('k')", "$l[0]", "$l.get(1)", "$l.size()", "$s.length()",
     "$gone", "$!{gone}", "$v", "$s.replaceAll('b', 'z')"]
)  # fmt: skip
tests = st.sampled_from(
    ["$t", "$f", "$n == 3", "$n > 1", "$s == 'abc'", "!$f", "!$t", "$t && $f", "$f || $t", "($n + 1) * 2 >= 8",
     "$l.contains('x')", "$foreach.hasNext", "$gone", "$n % 2 == 1", "not $t", "$n ne 4 and $n le 3"]
)  # fmt: skip
texts = st.text(st.sampled_from("abc {}\"',:\n\t]1.;=€"), max_size=6)
expressions = st.one_of(
    values.filter(lambda v: "!" not in v),
    st.sampled_from(["1", "'lit'", "\"in $s ${m.k}\"", "2 + 3 * $n", "$n - 1", "true", "\"#if($t)y#end\""]),
)  # fmt: skip
templates = st.recursive(
    st.one_of(
        texts, values, expressions.map(lambda e: f"#set($v = {e})"), st.just("## note\n"), st.just("#* x *#."),
        st.sampled_from(["$foreach.count", "$foreach.index", "$velocityCount", "$x", "#.", "# ", "$ "]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map("".join),
        st.tuples(tests, inner, inner).map(lambda p: "#if({})\n{}#else {}#end\n".format(*p)),
        st.tuples(tests, inner, tests, inner).map(lambda p: "#if( {} ){}#elseif( {} ) {} #end".format(*p)),
        st.tuples(st.sampled_from(["$l", "[1..3]", "['a', 'b']", "$m.keySet()"]), inner).map(
            lambda p: "#foreach($x in {}) {}#end".format(*p)
        ),
    ),
    max_leaves=12,
)  # fmt: skip


@seeded(300, 20_000)
@given(templates)
def test_it_renders_as_airspeed_does(template: str) -> None:
    template = "#set($v = '')" + template
    assert vtl.compile_template(template)(dict(WORLD)) == airspeed.Template(template).merge(WORLD)


@seeded(1_000, 100_000)
@given(
    st.lists(st.one_of(templates, st.sampled_from(["#if(", ")", "#end", "${", "#foreach(", "$x.y(", "[", "#set($"]),
                       st.text(max_size=8))).map("".join),
    st.one_of(st.just(PETS), st.text(max_size=30)),
)  # fmt: skip
def test_no_template_and_no_payload_raises_anything_else(template: str, body: str) -> None:
    try:
        assert isinstance(render(template + "$input.json('$')$input.path('$.a')", body), str)
    except (vtl.TemplateError, vtl.PayloadError):
        pass
