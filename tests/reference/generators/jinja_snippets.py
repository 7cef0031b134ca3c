"""Snippets for make_jinja_fixtures.py: one construct of the language each, written here."""

VALUES = {
    "word": "hello", "name": "Ada Lovelace", "empty": "", "text": "  two  words\n", "emoji": "a😀é漢", "quote": "it's \"so\"",
    "lines": "one\ntwo\r\nthree\n", "num": 7, "neg": -7, "zero": 0, "real": 2.5, "yes": True, "no": False,
    "nothing": None, "xs": [3, 1, 2], "words": ["b", "A", "c", "a"], "mixed": [1, "1", 1.5, None, True, [1], {"k": "v"}],
    "none_left": [], "pairs": [["a", 1], ["b", 2]], "d": {"b": 2, "a": 1, "C": 3}, "no_keys": {},
    "user": {"name": "Ada", "age": 36, "items": "own", "address": {"city": "London"}},
    "people": [
        {"name": "Bo", "age": 3, "on": True}, {"name": "al", "age": 5, "on": False},
        {"name": "Cy", "age": 3, "on": True, "extra": {"n": 1}},
    ],
    "messages": [
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi <b>&</b>"},
        {"role": "assistant", "content": "<think>\nhm\n</think>\n\nHello"}, {"role": "user", "content": " Bye \n"},
    ],
    "tools": [{"type": "function", "function": {"name": "f", "description": "Grüße \"x\"\n", "parameters": {"type": "object", "properties": {"a": {"type": "integer", "enum": [1, 2]}}, "required": []}}}],
    "add_generation_prompt": True, "bos_token": "<s>", "eos_token": "</s>",
}

# One expression a line.
EXPRESSIONS = r"""
true
True
false
none
None
[true, false, none]
1
-1
1.0
1.5e3
1e16
1e22
1e-5
0.0001
0.1 + 0.2
123456789012345678901234567890
9007199254740993 + 1
1_000
0x1F
0b101
0o17
1 / 2
4 / 2
7 // 2
-7 // 2
7 % 3
-7 % 3
7.5 // 2
-7.5 % 2
2 ** 10
2 ** -1
2 ** 3 ** 2
2.0 ** 3
-2 ** 2
1 / 0
1 % 0
1 // 0.0
+num
-neg
- num | abs
num + real
num * 3.0
3.0 + 1
true + true
1 == 1.0
1 == true
'1' == 1
'a' == 'a'
none == none
none == false
missing == missing
missing == none
[1, 2] == [1, 2]
(1, 2) == [1, 2]
{'a': 1} == {'a': 1.0}
1 < 2 < 3
1 < 3 < 2
3 > 2 >= 2 != 1
'a' < 'b'
'B' < 'a'
'a' < 1
[1, 2] < [1, 3]
none < 1
1 in [1, 2]
1.0 in [1, 2]
'1' in [1, 2]
'el' in word
'' in word
1 in word
'a' in d
1 in d
'a' not in d
not 'a' in d
'x' in missing
missing in [1]
missing in words
1 in 5
not true
not none_left
not not word
1 and 2
0 or 'x'
'' or none_left or 'z'
none and 1
1 if no else 2
1 if no
'a' if yes else 'b' if no else 'c'
(1 if no) is defined
missing
missing.a
missing['a']
missing()
missing + 1
missing ~ 'a'
missing | upper
missing | length
missing | list
missing | join(',')
missing | first
missing | trim
missing | int
missing | string
missing | tojson
missing | default('dflt')
missing | d('x')
missing | d
empty | default('x')
empty | default('x', true)
nothing | default('x')
nothing | d('x', boolean=true)
no | default('x', true)
user.missing
user.missing is defined
user.missing.deeper
user['missing'] | default('-')
[missing]
{'a': missing}
-missing
missing < 1
missing is none
missing is string
missing is iterable
missing is sequence
missing is mapping
nothing.a
nothing['a']
word + 'x'
word + 1
1 + word
word ~ 1 ~ none ~ true ~ 1.0
word * 2
2 * word
word * 0
word * -1
word - 1
word / 2
[1] + [2]
[1] + (2,)
[1] * 2
(1,) + (2, 3)
[1] + none
none + 'a'
word[0]
word[-1]
word[10]
word[1:3]
word[:-1]
word[::-1]
word[::2]
word[3:1]
word[-100:100]
word[::0]
emoji[1]
emoji[::-1]
emoji | length
xs[0]
xs[-1]
xs[5]
xs[1:]
xs[::-1]
xs[:2]
xs[5:]
xs['0']
xs.0
xs.1
(1, 2, 3)[1:]
words[true]
xs[1.0]
d['a']
d.a
d.b
d['zz']
d.items()
d.items() | list
d.keys() | list
d.values() | list
d.keys()
d.values()
d.get('a')
d.get('z')
d.get('z', 5)
d.get('z') is none
user['items']
user.items()
user.keys() | join(' ')
user.address.city
user['address']['city']
user.get('address').get('city')
d | length
d | list
d | count
(d.items() | list)[0]
d.items()[0]
xs
words
mixed
d
user
people[2]
none_left
no_keys
(1, 2)
(1,)
()
[(1, 'a'), {'b': (none,)}]
['it''s']
["it's", 'a"b', quote]
['a\nb\t\\', '\x00\x7f', 'é😀', '\u200b\u00a0']
[emoji, text]
[1.0, 1e100, -0.0, 1e-7, 100000.0]
{1: 2, none: 3, true: 4, 'a': 5, 1.5: 6}
{(1, 2): 'x'}
{[1]: 2}
'a' 'b'
'\u00e9\x41\t|'
'\d\q'
'\101\7'
'\U0001F600'
'a\
b'
"'"
'"'
'it\'s'
range(3)
range(3) | list
range(1, 4) | list
range(5, 0, -2) | list
range(0)
range(3)[1]
range(3)[-1]
range(10)[2:4]
range(3) | length
range(3) | sum
range(200000) | length
range(3) is sequence
range(3) is iterable
dict()
dict(a=1, b='x')
dict([['a', 1]], b=2)
dict({'x': 1}, y=2)
dict(pairs)
dict(d).a
namespace(a=1).a
namespace(d).b
namespace(a=1).z
namespace({'a': 1}, b=2).b
namespace(a=none).a is none
namespace(a=none)['a'] is defined
{'a': none}.a is none
{'a': none}['a'] is none
{'a': none}.get('a', 1)
{'a': none}.get('b', 1)
{'a': none}.get('b')
[none] | last is none
[1, none] | last
missing | default(none) is none
missing | default(none)
nothing | default(none, true)
cycler('a', 'b').next()
word.upper()
word.capitalize()
name.lower()
name.title()
name.swapcase()
"they're bill's o'neil".title()
"they're bill's".capitalize()
'ß'.upper()
'İ'.lower() | length
'straße'.casefold()
text.strip()
text.lstrip()
text.rstrip()
'xxhixx'.strip('x')
'xyhixy'.strip('yx')
'xxhixx'.lstrip('x')
'xxhixx'.rstrip('x')
'a,b,,c'.split(',')
'a,b,,c'.split(',', 1)
'a,b,c'.split(',', maxsplit=1)
'a,b,c'.split(sep=',')
'a,b,c'.rsplit(',', 1)
' a  b '.split()
' a  b c '.split(none, 1)
' a  b c '.rsplit(none, 1)
''.split()
''.split(',')
word.split('')
lines.splitlines()
lines.splitlines(true)
''.splitlines()
'a\x0bb\x85c\u2028d'.splitlines()
word.startswith('he')
word.startswith(('x', 'h'))
word.startswith('l', 2)
word.endswith('lo')
word.endswith(('x', 'lo'))
word.startswith(1)
word.replace('l', 'L')
word.replace('l', 'L', 1)
word.replace('', '-')
word.replace('l', '')
'$&'.replace('$&', '$$')
word.join(['a', 'b'])
', '.join(words)
','.join([])
','.join([1])
'-'.join('abc')
','.join(d)
word.find('l')
word.find('z')
word.rfind('l')
word.index('l')
word.index('z')
word.find('l', 3)
emoji.find('é')
word.count('l')
word.count('')
'1'.isdigit()
'١'.isdigit()
'²'.isdigit()
'²'.isdecimal()
'½'.isnumeric()
'a1'.isalnum()
'ab'.isalpha()
' '.isspace()
''.isspace()
'Ab'.isupper()
'AB1'.isupper()
'ab1'.islower()
'Ab Cd'.istitle()
'abc'.isascii()
'a_1'.isidentifier()
'a b'.isprintable()
word.center(9, '*')
word.ljust(7) ~ '|'
word.rjust(7, '.')
'42'.zfill(5)
'-42'.zfill(5)
word.partition('l')
word.rpartition('l')
word.partition('z')
word.removeprefix('he')
word.removesuffix('lo')
word.removesuffix('z')
'a\tb'.expandtabs(4)
word.nothing_such()
'{} {}'.format(1, 'a')
'{0}{1}{0}'.format('a', 'b')
'{x:>5}|{y:<5}|{z:^5}'.format(x=1, y='a', z='b')
'{:.2f} {:d} {:x} {:,}'.format(3.14159, 42, 255, 1234567)
'{a.name} {a[age]}'.format(a=user)
'{{}} {!r}'.format('a')
'{:*^9}'.format('mid')
'{:05d} {:+d} {:%}'.format(42, 7, 0.25)
'%s and %s' % ('a', 1)
'%s' % word
'%d%%' % 5
'%5.2f|%-5s|%05d|%+d' % (3.14159, 'ab', 42, 7)
'%r %s' % ('a', [1, 'b'])
'%(a)s-%(b)d' % {'a': 'x', 'b': 2}
'%x %X %o %e %g' % (255, 255, 8, 12345.678, 0.00001)
'%c' % 'z'
'%s' % (1, 2)
'%s %s' % 'a'
'%d' % 'a'
'%s' % none
'%s' % [xs]
'%3d|%-3d|' % (5, 5)
'%.3s' % word
'%s %s' | format('a', 1)
'%(a)s' | format(a=1)
xs.index(1)
xs.count(1)
xs.copy()
xs.append(4)
xs.pop()
d.update({'x': 1})
d.pop('a')
(1, 2).index(2)
num.bit_length()
3.0.is_integer()
word.__class__
word.__class__.__mro__
xs.__len__()
word['__class__']
user.__class__ is defined
user.constructor
user.__proto__
user['__proto__']
user.toString
word.length
word.constructor
xs.length
xs.map
xs.constructor.constructor('return 1')()
d.size
d.hasOwnProperty
user.prototype is defined
missing.constructor
range.constructor
namespace.constructor
user._private is defined
word | upper
word | lower
num | upper
none | upper
word | capitalize
'hELLO wORLD' | capitalize
"they're here-and (there) [x] {y} <z>" | title
name | title
text | trim
'xxaxx' | trim('x')
word | first
word | last
xs | first
xs | last
none_left | first
none_left | last
d | first
d | last
none_left | first is defined
word | length
xs | length
num | length
nothing | length
xs | count
xs | sort
words | sort
words | sort(case_sensitive=true)
words | sort(reverse=true)
mixed | sort
people | sort(attribute='name') | map(attribute='name') | join(',')
people | sort(attribute='age,name') | map(attribute='name') | list
people | sort(attribute='age', reverse=true) | map(attribute='name') | list
xs | reverse | list
word | reverse
xs | unique | list
['a', 'A', 'b'] | unique | list
['a', 'A', 'b'] | unique(true) | list
people | unique(attribute='age') | map(attribute='name') | list
xs | join
xs | join('-')
xs | join(d='/')
people | join(', ', attribute='name')
word | join('.')
[none, 1, true] | join(',')
xs | max
xs | min
none_left | max
words | max
words | min(case_sensitive=true)
people | max(attribute='age')
xs | sum
xs | sum(start=10)
people | sum(attribute='age')
words | sum
[1.5, 2] | sum
xs | map('string') | list
words | map('upper') | join
words | map('replace', 'a', 'z') | list
people | map(attribute='extra.n') | list
people | map(attribute='extra.n', default=0) | list
people | map(attribute='name') | first
people | map('tojson') | join(';')
xs | map('no_such') | list
pairs | map(attribute=0) | list
pairs | map('last') | list
xs | select('odd') | list
xs | select('>', 1) | list
xs | select | list
mixed | select('string') | list
xs | reject('odd') | list
xs | reject('equalto', 1) | list
people | selectattr('on') | map(attribute='name') | list
people | selectattr('age', 'equalto', 3) | map(attribute='name') | list
people | selectattr('age', '==', 3) | list | length
people | selectattr('extra', 'defined') | map(attribute='name') | list
people | rejectattr('on') | map(attribute='name') | list
people | rejectattr('age', 'gt', 3) | list | length
messages | selectattr('role', 'in', ['user', 'system']) | list | length
messages | rejectattr('role', 'equalto', 'system') | map(attribute='content') | first
(xs | select('odd')) | length
'yes' if none_left | select else 'no'
people | groupby('age') | list
people | groupby('age') | map(attribute='grouper') | list
people | groupby('age') | map('first') | list
people | groupby('name') | map('first') | list
people | groupby('name', case_sensitive=true) | map('first') | list
people | groupby('extra.n', default=9) | map('first') | list
xs | batch(2) | list
xs | batch(2, 'x') | list
[1, 2, 3, 4, 5] | slice(3) | list
[1, 2, 3, 4, 5] | slice(3, 0) | list
d | dictsort
d | dictsort(true)
d | dictsort(by='value')
d | dictsort(false, 'key', true)
d | items | list
missing | items | list
xs | items | list
d | list
word | list
num | list
none | list
d | sort
num | string + '1'
real | string
num | float
'3.7' | float
'x' | float
'x' | float(default=1.5)
'1e3' | float
'42' | int
' 42 ' | int
'4.7' | int
'x' | int
'x' | int(7)
'ff' | int(base=16)
'0x1A' | int(0, 16)
'101' | int(0, 2)
4.9 | int
-4.9 | int
none | int
true | int
'1_000' | int
-7 | abs
real | abs
'a' | abs
2.5 | round
3.5 | round
2.55 | round(1)
1234.5 | round(-2)
2.1 | round(0, 'ceil')
2.9 | round(method='floor')
7 | round
2.675 | round(2)
42 | round(2)
'<a href="x">&\'' | escape
'<' | e
'<' | safe
('<' | e) ~ '<'
'<' | forceescape
'a b/c?d=é&' | urlencode
{'a': 1, 'b': 'x y'} | urlencode
pairs | urlencode
'<p>a  <b>b</b></p>' | striptags
'one two three' | wordcount
'a-b c_d' | wordcount
'a\nb\n\nc' | indent
'a\nb\n\nc' | indent(2, true)
'a\nb\n\nc' | indent(width=2, first=true, blank=true)
'a\nb' | indent('> ')
'foo bar baz qux' | truncate(9)
'foo bar baz qux' | truncate(9, true)
'foo bar baz qux' | truncate(11)
'foo bar baz qux' | truncate(9, true, '', 0)
'hello world foo' | wordwrap(7)
word | center(11) ~ '|'
word | replace('l', 'x')
word | replace('l', 'x', 1)
num | replace('7', '8')
1024 | filesizeformat
1 | filesizeformat
123456789 | filesizeformat(true)
user | attr('name')
xs | pprint
word | pprint
'%' | urlencode
word | no_such_filter
nothing | map('upper') | list
zero | select('odd') | list
nothing | selectattr('a') | list
word.removesuffix('')
word.removeprefix('')
'a' % [1]
'%s|' % missing
missing is callable
emoji | wordwrap(2)
word is no_such_test
no_such_function(1)
1 | string | length
xs | tojson
tools | tojson
tools | tojson(indent=2)
tools | tojson(indent=4)
d | tojson(sort_keys=true)
d | tojson(separators=(',', ':'))
d | tojson(indent=0)
emoji | tojson
emoji | tojson(ensure_ascii=true)
quote | tojson
'</script>\u2028\x7f\x01\b\f/' | tojson
'</script>\u2028\x7f\x01' | tojson(ensure_ascii=true)
[1.0, 1e16, none, true, (1, 2)] | tojson
{1: 2, none: 3, true: 4, 1.5: 5} | tojson
none_left | tojson(indent=2)
no_keys | tojson(indent=2)
[[], {}, [[1]]] | tojson(indent=1)
namespace(a=1) | tojson
word | tojson | tojson
range(3) | tojson
xs | map('string') | tojson
1 is number
true is number
1 is integer
true is integer
1.0 is integer
1.0 is float
'a' is string
word is lower
word is upper
'A1' is upper
true is boolean
1 is boolean
none is none
missing is defined
missing is undefined
word is defined
word is not defined
no is false
no is true
0 is false
yes is true
1 is odd
2 is even
num is divisibleby 7
num is divisibleby(3)
xs is iterable
word is iterable
1 is iterable
d is mapping
xs is mapping
user.items is callable
range is callable
word is callable
xs is sequence
word is sequence
d is sequence
1 is sequence
1 is eq 1
1 is equalto 1.0
1 is ne 2
1 is lt 2
2 is gt(1)
1 is le 1
1 is ge 2
1 is in [1, 2]
1 is not in [1, 2]
'a' is in 'abc'
nothing is sameas none
xs is sameas xs
'upper' is filter
'nope' is filter
'odd' is test
1 is == 1
'x' is escaped
not 1 is odd
1 is odd and 2 is even
1 + 1 is odd
xs | length is even
xs | length > 2 and word
'a' ~ 'b' | upper
-1 | abs
(1, 2) | join
1 if missing is defined and missing.a else 2
messages[-1].content | trim
messages[-1]['content'].strip()
messages[0]['role'] == 'system'
messages[1:][0].content
messages[::-1][0]['role']
messages | map(attribute='role') | join(',')
messages | length - 1
(messages | length) % 2
messages[2].content.split('</think>')[-1].lstrip('\n')
messages[2].content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n')
'</think>' in messages[2].content
messages[2]['content'].split('</think>') | last | trim
(messages | first).role
(messages | last)['role']
tools[0].function.name
tools[0]['function']['parameters']['properties'].items() | list
tools[0].function | tojson
strftime_now('%Y-%m-%d')
strftime_now('%A %d %b %y %H:%M:%S')
strftime_now('%a %B %-d, %Y %I:%M %p %%')
strftime_now('%j %U %W %w %u %V %G %y %C')
strftime_now('%c|%x|%X|%D|%F|%T|%R|%r')
strftime_now('%e|%k|%l|%-m|%-H|%_d|%^a|%n|%t|%h|%f|%z|%Z|')
strftime_now()
raise_exception('no')
eval('1')
caller
loop
varargs
word if word is string and word | length > 3 else 'short'
{'role': 'x', **d}
[x for x in xs]
lambda: 1
word is string is true
1 = 2
a b
word.
xs[
(1
'unfinished
word |
1 <> 2
$x
word!
`x`
loop.index
1;
{'a': {'b': {'c': 1}}}['a']['b']['c']
{'a': 1}.a
{'a': 1,}
[1, 2,]
(1, 2,)
word.upper().lower().title()
(word | upper).lower()
word | upper | lower ~ 'x'
[1, 2, 3][1:][0]
'abc'[1:].upper()
1.5.is_integer()
'a'.b.c
3 is divisibleby 3 and true
{'if': 1}['if']
word is in ['hello']
(true and false) or (not false)
'x' * (num - 4)
num // 2 * 2 == num
10 - 2 - 3
2 + 3 * 4 ** 2 / 8
5 % 3 * 2
'a' in 'abc' and 'z' not in 'abc'
1 if 0 else 2 if 0 else 3
none is not none
xs == [3, 1, 2]
(xs | sort)[0]
xs | sort | first
xs | list | length
(1, 2) in [(1, 2)]
'%02d:%02d' % (5, 7)
'\n'.join(['a', 'b']) | indent(4)
""".strip("\n").split("\n")

# 'a\<newline>b' above is two lines: put together again.
_BROKEN = EXPRESSIONS.index("'a\\")
EXPRESSIONS[_BROKEN : _BROKEN + 2] = ["'a\\\nb'"]

STATEMENTS = [
    # white space
    "a\n", "a\n\n", "\na", "a\r\nb\r\n", "a\rb", "{% if 1 %}\nx\n{% endif %}\ny", "  {% if 1 %}\n  x\n  {% endif %}\n  y",
    "a {% if 1 %} b {% endif %} c", "a\n  {%- if 1 -%}\n  b\n  {%- endif -%}\n  c", "a {{- 1 -}} b", "a\n\n{{- 1 }}\n\nb",
    "  {%+ if 1 %}x{% endif %}", "{% if 1 +%}\nx{% endif %}", "  {{ 1 }}\n", "a\n\t{% set x = 1 %}\n{{ x }}", "x {# c #} y", "x\n  {# c #}\ny", "x {#- c -#} y",
    "{# a {{ b }} {% c #}z", "{% raw %}{{ x }} {% if %}{% endraw %}!", "{%- raw -%} {{ x }} {%- endraw -%} z", "a\n  {% raw %}\n b\n  {% endraw %}\nc", "{{ '{{' }} {{ '%}' }}",
    "{{ '}}' }}", "{{ {'a': {'b': 1}} }}", "{{ {'a': 1}}}", "{ { } } {a} %} }}", "{{1}}{{-2}}", "{{\n1\n}}", "{%if 1%}y{%endif%}", "{% if 1 -%}\n\n  x{% endif %}", "a\u00a0{%- if 1 %}b{% endif %}",
    "a\r\n{% if 1 %}\r\nb\r\n{% endif %}\r\nc", "{{ 'a\r\nb' }}", "{% for x in xs %}\r\n  {{ x }}\r\n{% endfor %}\r\n", "a{{ '' }}\n", "{%- set x = 1 -%}\n\n{{- x -}}\n\n", "line\n    {%- if 1 %}\n  in\n    {%- endif %}\nout\n",
    "x{#\n#}\ny", "  {#- a -#}  \n b", "{{ 1 }}\n{{ 2 }}\n\n", "{% set a = 1 %}{% set b = 2 %}\n\n{{ a }}", " {%- if 0 %}{% endif %} a", "   {% raw %}x{% endraw %}", "{% if 1 %}{{ 1 }}\n{% endif %}\n", "\n\n{% if 1 %}\n\n{% endif %}\n\nz",
    # if
    "{% if 0 %}a{% elif 1 %}b{% else %}c{% endif %}", "{% if none_left %}a{% else %}b{% endif %}", "{% if missing %}a{% else %}b{% endif %}", "{% if not missing is defined %}a{% endif %}",
    "{% if 1 %}{% set q = 5 %}{% endif %}{{ q }}", "{% if 0 %}{% set q = 5 %}{% endif %}{{ q }}|{{ q is defined }}", "{% if word == 'hello' and num > 5 or no %}y{% endif %}", "{% if %}x{% endif %}", "{% if 1 %}x", "{% endif %}", "{% if 1 %}x{% endfor %}", "{% else %}", "{% elif 1 %}",
    # for
    "{% for x in xs %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ x }};{% endfor %}",
    "{% for x in xs %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }};{% endfor %}", "{% for x in xs %}{{ loop.previtem is defined }}{{ loop.nextitem is not defined }}{% endfor %}",
    "{% for x in none_left %}a{% else %}b{% endfor %}", "{% for x in missing %}a{% else %}b{% endfor %}", "{% for x in xs if x > 1 %}{{ loop.index }}/{{ loop.length }}:{{ x }} {% endfor %}", "{% for x in xs if x > 9 %}a{% else %}none{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }},{% endfor %}", "{% for k in d %}{{ k }}{% endfor %}", "{% for k, v in d | dictsort %}{{ k }}{{ v }}{% endfor %}", "{% for a, b in pairs %}{{ a }}{{ b }}{% endfor %}", "{% for (a, b) in pairs %}{{ a }}{{ b }}{% endfor %}", "{% for a, b in [[1, 2, 3]] %}x{% endfor %}", "{% for a, b in xs %}x{% endfor %}",
    "{% for c in emoji %}[{{ c }}]{% endfor %}", "{% for x in num %}a{% endfor %}", "{% for x in nothing %}a{% endfor %}", "{% for x in range(3) %}{{ x }}{% endfor %}", "{% for x in xs %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}", "{% for x in xs %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% endfor %}", "{% break %}",
    "{% set t = 0 %}{% for x in xs %}{% set t = t + x %}{{ t }},{% endfor %}{{ t }}", "{% set ns = namespace(t=0) %}{% for x in xs %}{% set ns.t = ns.t + x %}{% endfor %}{{ ns.t }}", "{% for x in xs %}{% set last = x %}{% endfor %}{{ last }}", "{% for x in xs %}{% endfor %}{{ x }}{{ loop }}",
    "{% for x in xs %}{% for y in xs %}{{ loop.index }}{% endfor %}{{ loop.index }} {% endfor %}", "{% for x in xs %}{% set outer = loop %}{% for y in [1, 2] %}{{ outer.index }}{{ loop.index }} {% endfor %}{% endfor %}", "{% for x in xs %}{{ loop.cycle('a', 'b') }}{% endfor %}", "{% for x in [1, 1, 2] %}{{ loop.changed(x) }}{% endfor %}", "{% for x in xs %}{{ loop.depth }}{{ loop.depth0 }}{% endfor %}",
    "{% for n in [{'v': 1, 'c': [{'v': 2, 'c': []}]}] recursive %}{{ n.v }}@{{ loop.depth }}[{{ loop(n.c) }}]{% endfor %}", "{% for x in xs | select('odd') %}{{ x }}{{ loop.last }}{% endfor %}", "{% for x in xs | reverse %}{{ x }}{% endfor %}", "{% for m in messages[1:] %}{{ m.role }}{% if not loop.last %}, {% endif %}{% endfor %}", "{% for x in xs %}{{ x }}{% else %}e{% endfor %}", "{% for x in xs -%}\n {{ x }}\n{%- endfor %}", "{% for x in xs %}\n- {{ x }}\n{% endfor %}\nend\n",
    "{% for item in user.address | items %}{{ item }}{% endfor %}", "{% for x in (1, 'a', none) %}{{ x }}{% endfor %}", "{% for x in 1, 2 %}{{ x }}{% endfor %}", "{% for x, in [[1]] %}{{ x }}{% endfor %}", "{% for x in xs %}{{ loop.nothing }}{% endfor %}", "{% for loop in xs %}{% endfor %}", "{% for x in xs if loop.index %}{% endfor %}", "{% for 1 in xs %}{% endfor %}", "{% for x of xs %}{% endfor %}", "{% for x in %}{% endfor %}", "{% for x in x %}{{ x }}{% endfor %}", "{% set x = xs %}{% for x in x %}{{ x }}{% endfor %}{{ x }}", "{% for a, (b, c) in [[1, [2, 3]]] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    # set
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set a = 1, 2 %}{{ a }}", "{% set a %}x{{ num }}y{% endset %}{{ a | upper }}", "{% set a | upper %}x{{ num }}{% endset %}{{ a }}", "{% set a | replace('x', 'z') | trim %} xx {% endset %}[{{ a }}]", "{% set ns = namespace() %}{% set ns.a = 1 %}{{ ns.a }}{{ ns.b is defined }}", "{% set d.a = 5 %}{{ d.a }}", "{% set a = b = 1 %}", "{% set word = 'x' %}{{ word }}", "{% set a, b = [1] %}", "{% set ns = namespace(a=[]) %}{% set ns.a = ns.a + [1] %}{% set ns.a = ns.a + [2] %}{{ ns.a }}", "{% set x = 1 if no %}{{ x is defined }}", "{% set x = missing %}{{ x is defined }}", "{% set true = 1 %}", "{% set a.b.c = 1 %}", "{% set ns = namespace(x=1) %}{% set ns.y, z = 1, 2 %}{{ ns.y }}{{ z }}", "{% set loop_messages = messages[1:] if messages[0].role == 'system' else messages %}{{ loop_messages | length }}", "{% set _ = ns %}{{ _ is defined }}", "{% set ns = namespace(_a=1) %}", "{% set ns = namespace() %}{% set ns.items = 3 %}{{ ns.items }}", "{{ namespace(a=1)['a'] }}", "{% set ns = namespace(a=1) %}{{ 'a' in ns }}", "{% set ns = namespace(a=none) %}{% set ns.b = none %}{{ ns.a }}{{ ns.b is none }}", "{% for x in [none, 1, none] %}{{ loop.previtem is defined }}{{ loop.nextitem is none }};{% endfor %}",
    # macro, call, filter, with
    "{% macro m(a, b=2, c='x') %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }}|{{ m(1, 3) }}|{{ m(1, c='z') }}|{{ m(a=5) }}", "{% macro m(a) %}[{{ a }}]{% endmacro %}{{ m() }}", "{% macro m() %}x{% endmacro %}{{ m(1) }}", "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, k=3) }}", "{% macro m(a) %}x{% endmacro %}{{ m(b=1) }}", "{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}", "{% macro m(n) %}{{ n }}{% if n > 0 %}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(3) }}", "{% macro m() %} x {% endmacro %}[{{ m() | trim }}]{{ m() ~ 'y' }}{{ m() + 'z' }}",
    "{% set x = 1 %}{% macro m() %}{{ x }}{% endmacro %}{% set x = 2 %}{{ m() }}", "{% macro m() %}{% set y = 1 %}{% endmacro %}{{ m() }}{{ y is defined }}", "{% macro m() %}{{ word }}{{ num }}{% endmacro %}{{ m() }}", "{{ m is defined }}{% macro m() %}{% endmacro %}{{ m is defined }}{{ m is callable }}{{ m.name }}{{ m.arguments }}", "{% macro m(a, b) %}{{ caller() }}{% endmacro %}{% call m(1, 2) %}in{% endcall %}", "{% macro m() %}<{{ caller('u', 1) }}>{% endmacro %}{% call(x, y) m() %}{{ x }}{{ y }}{% endcall %}", "{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}{% call m() %}{% endcall %}", "{% macro m(a) %}x{% endmacro %}{% call m(1) %}y{% endcall %}", "{% filter upper %}a{{ word }}{% endfilter %}", "{% filter replace('a', 'b') | upper %}a{{ word }}{% endfilter %}", "{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}", "{% with %}{% set z = 1 %}{{ z }}{% endwith %}{{ z is defined }}", "{% with a = 1 %}{% with b = a %}{{ b }}{% endwith %}{% endwith %}", "{% macro m(x) -%}\n  {{- x -}}\n{%- endmacro %}\na{{ m('b') }}c", "{% macro outer() %}{% macro inner() %}i{% endmacro %}{{ inner() }}{% endmacro %}{{ outer() }}", "{% for x in xs %}{% macro m() %}{{ x }}{% endmacro %}{{ m() }}{% endfor %}", "{% macro m(d) %}{% for k, v in d.items() %}{{ k }}{% if v is mapping %}({{ m(v) }}){% endif %}{% endfor %}{% endmacro %}{{ m({'a': {'b': {'c': 1}}}) }}", "{% set args = [1, 2] %}{% macro m(a, b) %}{{ a }}{{ b }}{% endmacro %}{{ m(*args) }}{{ m(**{'a': 3, 'b': 4}) }}", "{% macro m(a, a) %}{% endmacro %}", "{% macro m(a=1, b) %}{% endmacro %}", "{% macro 1() %}{% endmacro %}", "{% macro loopy() %}{{ loopy() }}{% endmacro %}{{ loopy() }}",
    # other statements
    "{% generation %}a{{ num }}{% endgeneration %}b", "  {%- generation -%}\n a \n{%- endgeneration -%} b", "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}{% endif %}{% endfor %}", "{% generation %}{% set g = 1 %}{{ g }}{% endgeneration %}{{ g is defined }}", "{% print 1, 'a' %}", "{% block b %}x{{ num }}{% endblock %}", "{% block b %}x{% endblock b %}y", "{% include 'x' %}", "{% import 'x' as y %}", "{% extends 'x' %}", "{% do xs %}", "{% trans %}x{% endtrans %}", "{% unknown %}", "{%  %}", "{{ }}", "{{ 1", "{% if 1", "{# x", "{% raw %}x", "{{ 1 }", "{% set %}", "{% set x %}", "{{ ) }}", "{{ (1] }}", "{% for x in xs %}{% endfor x %}", "{% endfor %}",
    # pieces that templates are made of
    "{% if messages[0]['role'] == 'system' %}{% set system_message = messages[0]['content'] %}{% set messages = messages[1:] %}{% else %}{% set system_message = 'none' %}{% endif %}{{ system_message }}|{{ messages | length }}",
    "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate ' + m.role) }}{% endif %}{% endfor %}", "{{ bos_token }}{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content | trim + eos_token }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}",
    "{%- set ns = namespace(multi=true, last=messages|length - 1) %}{%- for m in messages[::-1] %}{%- set index = (messages|length - 1) - loop.index0 %}{%- if ns.multi and m.role == 'user' %}{%- set ns.multi = false %}{%- set ns.last = index %}{%- endif %}{%- endfor %}{{ ns.last }}", "{%- for tool in tools %}{{- '\\n' }}{{- tool | tojson }}{%- endfor %}", "{% for m in messages %}{{ m['content'] if m['content'] is string else m['content'][0]['text'] }};{% endfor %}",
    "{% set date = strftime_now('%d %b %Y') if strftime_now is defined else '26 Jul 2024' %}{{ date }}", "{% if tools is defined and tools is not none and tools | length > 0 %}{{ tools | map(attribute='function') | map(attribute='name') | join(', ') }}{% endif %}", "{%- if not date_string is defined %}{%- set date_string = '26 Jul 2024' %}{%- endif %}{{ date_string }}", "{% if enable_thinking is defined and enable_thinking is false %}off{% else %}on{% endif %}", "{%- set content = messages[2].content %}{%- if '</think>' in content %}{%- set thought = (content.split('</think>')|first).rstrip('\\n').split('<think>')|last %}{%- set thought = thought.lstrip('\\n') %}{%- set content = (content.split('</think>')|last).lstrip('\\n') %}{%- endif %}[{{ thought }}][{{ content }}]",
    "{%- macro render(d, n=0) -%}{%- for k, v in d | dictsort -%}{{ '  ' * n }}{{ k }}:{% if v is mapping %}\n{{ render(v, n + 1) }}{% else %} {{ v }}\n{% endif %}{%- endfor -%}{%- endmacro -%}{{ render(tools[0]) }}", "{{ messages | tojson(indent=2) }}", "{%- for k in user if k not in ['name'] %}{{ k }},{%- endfor %}", "{% set ns = namespace(out='') %}{% for m in messages %}{% set ns.out = ns.out ~ m.role[0] %}{% endfor %}{{ ns.out }}", "{{ (messages | selectattr('role', 'equalto', 'user') | list)[-1].content }}", "{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | map('trim') | join('\\n') }}", "{% set sep = joiner(', ') %}{% for x in xs %}{{ sep() }}{{ x }}{% endfor %}", "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.current }}{{ c.next() }}{{ c.next() }}{{ c.reset() }}{{ c.current }}",
]

SNIPPETS = list(dict.fromkeys(["{{ " + expression + " }}" for expression in EXPRESSIONS] + STATEMENTS))
