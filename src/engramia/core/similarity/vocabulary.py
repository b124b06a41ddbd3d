"""The vocabulary of tasks as plain tables: general English and programming, for people to read and extend."""

# One meaning a line; the first word stands for all. Regular inflections are cut before the look-up.
SAME = """
maximum max largest biggest highest greatest most longest maximal tallest
minimum min smallest lowest least fewest shortest minimal
average mean avg
sum total
count tally
frequent common popular occurrence occurence occur frequency
calculate compute
check verify test validate whether if determine
delete remove erase drop eliminate rid unlink purge
trim strip
suppress discard silence
replace substitute
create make generate build construct
copy clone
move relocate transfer
convert change transform turn modify translate alter
concatenate concat join merge combine append
split divide partition separate
reverse invert flip backward
sort order arrange ordered sorted
extract parse
insert add
write save
read load
unique distinct different
identical same equal
list array sequence
dictionary dict mapping hashmap
string str text
integer int
character char letter
element item entry member
increase raise increment
decrease reduce decrement
ascending increasing asc
descending decreasing desc
greater larger bigger higher longer older above exceed over
less smaller fewer shorter below younger
directory folder dir
subdirectory subfolder subtree recursive recursively tree
country nation
student pupil
people person population inhabitant populated populous
shop store
receive award got won
trapezium trapezoid
employee worker staff
picture image photo
permission mode
megabyte mb mib meg
kilobyte kb kib
gigabyte gb gib
terabyte tb tib
kilometer km kilometre
meter metre
centimeter cm centimetre
kilogram kg
millisecond ms
january jan
february feb
april apr
june jun
july jul
august aug
september sep sept
october oct
november nov
december dec
percent percentage
current present working
filesystem system
lowercase lower-case
uppercase upper-case
space whitespace
regex regexp
recent latest newest
old oldest earliest
young youngest
near nearest closest close
contain include
execute run invoke
first 1st begin start initial
last final end finish
third 3rd
fourth 4th
fifth 5th
nth n
purchase buy bought
spoken speak spoke
symlink symbolic
id ids identifier
standard std
decimal float floating
path pathname
name named filename
hidden dotfile
"""

# Axes of opposition, `axis: one pole | another`. Texts on different poles of an axis are opposed; on an axis
# marked with "!" so are a text on a pole and a text on none. A line may go on after its bar.
OPPOSED = """
extreme!: maximum top | minimum bottom
aggregate: sum | average | median | mode | product | variance | deviation
parity!: odd | even
sense: ascending | descending
reverse!: descending reverse
rank: first | last | second | third | fourth | fifth | middle | penultimate
age: recent | old
compare!: greater | less | atleast | atmost
time: before | after
bound!: since | until
side: left | right
vertical: up upward | down downward
height: upper | lower
case!: uppercase upper | lowercase lower
naming: camel | snake | kebab | pascal
exchange: import | export
transport: upload | download
access: read | write
mounting: readonly | readwrite
code: encode | decode
cipher: encrypt | decrypt
pack: compress zip gzip pack archive | decompress unzip gunzip unpack uncompress
form: serialize serialise marshal dump | deserialize deserialise unmarshal
amend: insert | delete
making: create | delete
growth: increase | decrease
parts: concatenate | split
switch: enable | disable
enabled: enabled activate | disabled deactivate
month: january | february | march | april | may | june |
july | august | september | october | november | december
weekday: monday | tuesday | wednesday | thursday | friday | saturday | sunday
door: open | close shut
lock: lock | unlock
bits: set | clear | toggle
scope: filesystem | current
kind: file | directory
power: square | cube
grant: allow grant permit | deny forbid revoke block
shown: show | hide
kept: keep retain preserve | delete
stack: push | pop | peek
mail: send | receive
table: row | column
axis: horizontal horizontally | vertical vertically
rounding: ceil ceiling | floor | truncate
sets: union | intersection | difference
sign!: positive | negative
visibility: public | private
truth: true | false
timing: synchronous sync | asynchronous async
party: client | server
place: local | remote
reference!: absolute | relative
shell: inner | outer
kin: parent ancestor | child descendant
direction: next | previous
period: previous | ongoing | next
forward: forward | reverse
when: past | future
daytime: day morning | night evening
trade: purchase | sell
result: win profit gain | lose loss
heat: hot | cold
link: connect attach follow | disconnect detach unfollow
mount: mount | umount unmount
setup: install | uninstall
session: subscribe login | unsubscribe logout
verdict: accept approve | reject decline refuse
outcome: success succeed pass | failure fail
arithmetic: plus add | minus subtract | multiply times multiplication | division quotient modulo
measure: area | perimeter circumference | volume
fraction: numerator | denominator
angle: sine | cosine cos | tangent tan
search: depth dfs | breadth bfs
route: source | destination target
flow: input stdin | output stdout | stderr
cash: credit deposit | debit withdraw
price: expensive | cheap
speed: fast | slow
typing: static | dynamic
change: mutable | immutable
signed: signed | unsigned
base: binary | octal | hexadecimal hex
temperature: celsius | fahrenheit | kelvin
metric: inch | centimeter | foot feet | mile | kilometer | meter
span: millisecond | second | minute | hour | day | week | month | year
bytes: byte | kilobyte | megabyte | gigabyte | terabyte
touched: modify modified modification | access accessed
sorted: sort | shuffle
matching: same | mismatch
sense-of-case: case-sensitive | case-insensitive
rest: all every | any some
prime: prime | composite
entry: key | value
owner: user | group
gender: male man boy | female woman girl
parent: mother | father
spouse: husband | wife
offspring: son | daughter
years: young | old
traversal: preorder | inorder | postorder
edge: leading | trailing
affix: prefix | suffix
end: head | tail
letters: vowel | consonant
relative-day: today | yesterday | tomorrow
week: weekday workday | weekend
season: spring | summer | autumn | winter
meal: breakfast | lunch | dinner
timeliness: early | late
travel: arrive arrival land | depart departure leave
trip: oneway | roundtrip
origin: domestic | foreign international
grade: upgrade promote | downgrade demote
compass: north northern | south southern | east eastern | west western
turning: clockwise | counterclockwise anticlockwise
orientation: landscape | portrait
extent: width | height
position: latitude | longitude
angles: radian | degree
interior: internal interior | external exterior
inside: inside | outside
front: front | rear
passage: enter | exit
remote-change: push | pull
transaction: commit | rollback
staging: stage | unstage
backup: backup | restore
running: start | stop
playing: play resume | pause suspend
sound: mute | unmute
vote: upvote | downvote
rights: whitelist allowlist | blacklist denylist
folding: expand unfold | collapse fold
wrapping: wrap | unwrap
indentation: indent | dedent
commenting: comment | uncomment
escaping: escape quote | unescape unquote
copying: shallow | deep
evaluation: eager | lazy
bounds: inclusive | exclusive
visible-from: global | local
links: symlink | hardlink
table-key: primary | foreign
containment: subset | superset
neighbour: predecessor | successor
queueing: fifo queue | lifo stack
node: root | leaf
edges: directed | undirected
weights: weighted | unweighted
cycles: cyclic | acyclic
division: dividend | divisor
scale: metric | imperial
optimum: maximize maximise | minimize minimise
sorting: alphabetical alphabetically lexicographic lexicographically | numeric numerical numerically
money: income revenue earning | expense cost spending
amount: gross | net
deal: buyer purchaser | seller vendor
loan: lend | borrow
post: sender | receiver recipient
grammar: singular | plural
availability: online | offline
size: grow enlarge | shrink
style: bold | italic | underline
studies: undergraduate | graduate
sunlight: sunrise | sunset
field: name | id | email | phone | address | title | date | age | salary
"""

# Two words in a row and the words that stand for them.
PHRASES = """
how many=count
number of=count
amount of=count
quantity of=count
total number=count
as many=same
at least=atleast
no less=atleast
not less=atleast
no fewer=atleast
at most=atmost
no more=atmost
not more=atmost
up to=upto
more than=greater
less than=less
lower than=less
regular expression=regex
case insensitive=case-insensitive
case insensitively=case-insensitive
ignoring case=case-insensitive
ignore case=case-insensitive
case sensitive=case-sensitive
case sensitively=case-sensitive
or not=
or more=atleast
or greater=atleast
or higher=atleast
or older=atleast
or less=atmost
or fewer=atmost
or lower=atmost
other than=not
not case=case-insensitive
and below=subdirectory
and under=subdirectory
sub directory=subdirectory
sub directories=subdirectory
sub folders=subdirectory
directory tree=subdirectory
current folder=current directory
symbolic link=symlink
soft link=symlink
hard link=hardlink
log in=login
log into=login
log out=logout
sign in=login
sign into=login
sign out=logout
pre order=preorder
post order=postorder
counter clockwise=counterclockwise
anti clockwise=counterclockwise
1 way=oneway
last day=previous day
past day=previous day
this day=ongoing day
current day=ongoing day
last week=previous week
past week=previous week
this week=ongoing week
current week=ongoing week
last month=previous month
past month=previous month
this month=ongoing month
current month=ongoing month
last quarter=previous quarter
past quarter=previous quarter
this quarter=ongoing quarter
current quarter=ongoing quarter
last year=previous year
past year=previous year
this year=ongoing year
current year=ongoing year
read only=readonly
read write=readwrite
turn on=enable
turn off=disable
switch on=enable
switch off=disable
round trip=roundtrip
standard output=stdout
standard input=stdin
standard error=stderr
lower case=lowercase
upper case=uppercase
white space=space
white spaces=space
file system=filesystem
snake case=snake
camel case=camel
"""

# Words of courtesy, grammar and asking: a task is the same with and without them.
FUNCTION = """
a an the this that these those its it is are was were be been being am do does did done has have had having
i me my we us our you your he she they them their his her who whom whose which what where when why how
of in on at for with by as so such than then there here also only just very please kindly given specified
specific provided certain particular mentioned respective respectively
and or but to from into onto within inside through using use used via upon about between per
will would can could should shall might must let want need like
show display print give return find get retrieve output tell report provide fetch state name
write python function program script code method task implement define
all any each every some one ones single
information detail kind type form way thing following
'
"""

# "Not" in the languages that tasks come in; English "un-" words stand below.
NEGATIONS = """
not no non without never none neither nor except excluding exclude excludes skip skipping omit omitting
ignoring ignore nicht kein keine keinen keiner ohne nie ne pas sans jamais sin nunca non senza mai nao não
sem nem bez nie не без нет ни ei ilman inte utan ikke uden uten geen niet zonder değil 不 没 無 无 非 未 勿
nejsou není nemá aucun aucune ningún ninguna nessun nessuna ללא לא ليس بدون لا नहीं बिना 없이 않
"""

UNWORDS = """
unset unsorted unordered unequal unused unknown unread unpaid undefined unmatched unverified unassigned
unavailable unlisted untracked unmodified unchanged unlike unauthorised unauthorized unsupported unnamed
unlabelled
invalid incomplete inactive incorrect inexact nonempty nonzero nonblank nonexistent nonrepeated nonnegative
"""

# Words that have two ends, of which the order matters.
CONNECTORS = (
    "of in by per with than minus over from to into onto before after until since under against for on at"
)

# Operators and the words that say them.
SYMBOLS = """
< less
> greater
<= atmost
≤ atmost
>= atleast
≥ atleast
== same
!= not
≠ not
-> to
=> to
→ to
"""

NUMBER_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty"
)
ROUND_WORDS = {
    "thirty": "30",
    "forty": "40",
    "fifty": "50",
    "hundred": "100",
    "thousand": "1000",
    "million": "1e6",
}

# Words that may come and go without another task being meant: vague nouns, ways of doing it, filling.
WEAK = """
out both across around together whole entire overall existing available possible actual itself themselves own
correspond respective associated related various varied different distinct unique certain several multiple
locate reside found belong come stay live lie situated present happen exist appear occur
use employ apply perform do work handle look search check see view compute calculate
content contents value element item thing object entry member data dataset input collection group
regular normal plain ordinary simple basic general standard current default predefined variable
subdirectory directory folder file path system location point place
name title label term word phrase
regex lambda recursion itertools library module builtin built-in expression pattern algorithm approach
number numbers list well too also exactly immediately directly simply properly correctly currently
else someone anyone everyone somebody people user
requirement require need result outcome answer detail description
resulting matching satisfying following
"""

# What a task works on or answers with: between these a conversion runs.
TYPES = """
string list tuple dictionary integer decimal boolean bit byte digit character matrix heap queue stack tree
graph count json csv xml yaml html pdf image column row table vowel consonant
"""

# Verbs that change something: a search is no deletion.
ACTIONS = """
delete rename move copy replace compress encrypt decrypt upload download install archive mount cancel
"""

# Words of amount: a task that asks for a count needs one of them.
QUANTITIES = "count amount quantity sum length size average numeral frequency"

# Units as they are written to a number.
UNITS = """
% percent
s second
sec second
ms millisecond
h hour
kb kilobyte
mb megabyte
gb gigabyte
tb terabyte
"""

# Words between two things of which the order does not matter.
COORDINATORS = """
and or , as well also both plus either und oder sowie et ou y e o u и или i ili ani och eller og
和 与 與 或 及 と や または および 와 과 및
"""

# Words by which a text shows that its "a" is no English article.
FOREIGN = "de el los las il di del della una uma para por con com do na ze w"

# Where something is done is not what it is done to: "in the directory".
PLACES = "directory"
WHERE = "in within inside under from into to at on through"

# Words by which a number says how long ago at most.
RECENCY = "last past previous ago within recent old"

# Words that ask for one answer per group.
GROUPING = "each every per"

# Words that make one answer of many rows.
SUMMARIES = "count sum average maximum minimum"
