"""Innocent snippets of our own making: code, configuration, logs and talk that must stay as they are."""

from tests.core.redaction.values import Values

SNIPPETS = r"""
token = os.environ["X"]
Case(stub="", runtime="def f(): pass", error="f1x9")
print(f"password={password!r}")
Pass the value to httplib2
pass to sha256sum2
token = r"[-!#$%&*+.^_`|~0-9a-zA-Z]+"
token = os.environ.get("API_TOKEN")
password = getpass.getpass("Password: ")
api_key = config.get("api_key")
SECRET_KEY = env("SECRET_KEY")
const token = process.env.GITHUB_TOKEN;
const apiKey = await getSecret("prod/api-key");
password = settings.DB_PASSWORD
password: str = Field(min_length=8)
def login(username: str, password: str) -> Token:
def verify(token, secret, algorithm="HS256"):
if password == confirm_password: return True
tokens = text.split()
token = tokens[i + 1]
token = next(lexer)
if token.type == "NUMBER": value = float(token.text)
token = "IDENTIFIER"
max_tokens = 4096
max_tokens: 2048, temperature: 0.2
tokenizer = AutoTokenizer.from_pretrained("bert-base-uncased")
pad_token="<pad>", eos_token="</s>", unk_token="[UNK]"
token_count = len(encoding.encode(prompt))
key = lambda pair: pair[1]
sorted(d.items(), key=lambda kv: (-kv[1], kv[0]))
max(words, key=len)
primary_key=True
id INTEGER PRIMARY KEY, token TEXT NOT NULL
FOREIGN KEY (user_id) REFERENCES users(id)
partition_key = "user#1234"
cache_key = f"user:{user_id}:profile"
sort_key = "2024-01-01#order"
public_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ5eyvUkV1oC0V7mFhbJqo1Fh4wd1kz0aVbVn0mM3nNq dev@laptop"
ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQDf1vjbxO4kQ3n9Yk0o4Z3 user@host
-----BEGIN CERTIFICATE-----\nMIIDdzCCAl+gAwIBAgIEAgAAuTANBgkqhkiG9w0BAQUFADBaMQsw\n-----END CERTIFICATE-----
-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAu1SU1LfV\n-----END PUBLIC KEY-----
if "-----BEGIN PRIVATE KEY-----" in text: raise ValueError("a key was committed")
-----BEGIN RSA PRIVATE KEY-----\n...\n-----END RSA PRIVATE KEY-----
API_KEY=your-api-key-here
API_KEY=<YOUR_API_KEY>
OPENAI_API_KEY=sk-...
OPENAI_API_KEY=sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
ANTHROPIC_API_KEY=sk-ant-your-key-here
GITHUB_TOKEN=ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
password: changeme
password = "password"
password="secret"
DB_PASSWORD=${DB_PASSWORD}
password: {{ vault_db_password }}
password: !Ref DatabasePassword
MYSQL_ROOT_PASSWORD: ${MYSQL_ROOT_PASSWORD:?set it}
api_key: ${{ secrets.API_KEY }}
token: ${{ secrets.GITHUB_TOKEN }}
secretName: my-app-secrets
secretKeyRef:\n  name: db-credentials\n  key: password
key: password
credentials: include
password_hash = bcrypt.hashpw(password.encode(), salt)
salt = os.urandom(16)
secret = secrets.token_hex(32)
token = secrets.token_urlsafe(16)
jwt.encode(payload, secret_key, algorithm="HS256")
token = jwt.encode({"sub": user.id}, SECRET, algorithm="HS256")
Authorization: Bearer <token>
Authorization: Bearer ${TOKEN}
headers = {"Authorization": f"Bearer {token}"}
headers: { Authorization: `Bearer ${token}` }
-H "Authorization: Bearer $TOKEN"
curl -u "$USER:$PASS" https://api.internal
curl -u user:password https://httpbin.org/basic-auth/user/password
Authorization: Basic dXNlcjpwYXNzd29yZA==
<input type="password" name="password" placeholder="Enter your password">
<label for="password">Password</label>
"password": "string"
"password": "********"
"token": "[REDACTED]"
"token": null
"password": {"type": "string", "minLength": 8}
password must contain at least 8 characters
Your password is required
The token is invalid or expired
password is incorrect, try again
The secret to good code is naming
The key is to sort the list first
A token is a sequence of characters
Please reset your password: click the button
Enter password:
Password:
token expired at 2024-05-01T12:00:00Z
error: invalid api key provided
error TS2339: Property 'token' does not exist on type 'User'.
KeyError: 'password'
KeyError: 'api_key_v2'
raise ValueError("token must not be empty")
AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE
AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY
aws secretsmanager get-secret-value --secret-id prod/db
arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/db-AbCdEf
secret_arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:app/token-Xy12Zz"
projects/my-proj/secrets/db-pass/versions/3
vault kv get secret/data/app
private_key_path = "/etc/ssl/private/server.key"
key_file: ~/.ssh/id_rsa
token_file="/var/run/secrets/kubernetes.io/serviceaccount/token"
token_url = "https://login.internal/oauth/token"
auth_url: https://accounts.google.com/o/oauth2/auth
api_key_header = "X-Api-Key"
PASSWORD_MIN_LENGTH = 12
PASSWORD_RESET_TIMEOUT_DAYS = 3
SESSION_COOKIE_NAME = "sessionid"
csrf_token = request.cookies["csrftoken"]
{% csrf_token %}
next_token = response["NextToken"]
page_token: "CAEQAA"
idempotency_key = str(uuid.uuid4())
postgres://user:password@localhost:5432/mydb
postgres://postgres:postgres@localhost:5432/app
postgresql://${DB_USER}:${DB_PASSWORD}@${DB_HOST}/app
postgres://{user}:{password}@{host}/{db}
mysql://root:root@127.0.0.1/test
amqp://guest:guest@rabbitmq:5672/
redis://localhost:6379/0
mongodb://localhost:27017
https://user@github.com/org/repo.git
git clone git@github.com:org/repo.git
scp file.txt deploy@web1.firma.cz:/var/www/
ssh admin@server1.firma.cz
rsync -av ./dist/ www@web.firma.cz:/srv/www
http://localhost:8080/path
user@example.com
john.doe@example.org
alice@test.example
you@yourcompany.com
noreply@github.com
49699333+dependabot[bot]@users.noreply.github.com
@app.route("/login")
@pytest.mark.parametrize("token", ["a", "b"])
@dataclass(frozen=True)
npm install lodash@4.17.21 react@18.2.0
uses: actions/checkout@v4
pip install pkg@git+https://github.com/org/pkg.git
icon@2x.png logo@3x.webp
y = x@w.T + b
scores = q@k.transpose(-2, -1)
systemctl status getty@tty1.service
foo@bar
image: registry.io/app@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
commit 3f786850e387550fdab836ed7e6dc881de23001b
git checkout 89e6c98d92887913cadf06b2adb97f26cde4849b
index 83db48f..bf269f4 100644
sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
md5sum: d41d8cd98f00b204e9800998ecf8427e
"integrity": "sha512-ZcOe7RZkoH6l7gG0r3l5a0zqk0D7vR9cPdvUu5m2m3OQw7z8X0p1kq2sT4y6B8n9VdEhJxKfWmLrQaZsXcVbNg=="
--hash=sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824
id: 550e8400-e29b-41d4-a716-446655440000
trace_id=4bf92f3577b34da6a3ce929d0e0e4736 span_id=00f067aa0ba902b7
request_id: req_01HZX3V9K2Q8W7T6R5N4M3J2H1
01ARZ3NDEKTSV4RRFFQ69G5FAV
ETag: "33a64df551425fcc55e4d42a148795d9f25f89d4"
timestamp = 1700000000000
ts: 1717243200123456
user_id = 4539578763
order 8843215567001234
x = 3.141592653589793
0.4539578763621486
[1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987]
4242 4242 4242 4242
card = "4111111111111111"  # test card
number: 5555555555554444
1234567890123456
0123456789abcdef0123456789abcdef
ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
B58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
#ff5733 and rgba(255, 87, 51, 0.5)
2024-05-01T12:00:03.123456+02:00
+0200
192.168.1.100:8080
2001:0db8:85a3:0000:0000:8a2e:0370:7334
00:1A:2B:3C:4D:5E
version 1.2.3-rc.1+build.456
v18.20.4
ISBN 978-3-16-148410-0
(123) 456-7890
create_phone_number([1, 2, 3, 4, 5, 6, 7, 8, 9, 0]) == "(123) 456-7890"
phone VARCHAR(20)
SELECT phone, email FROM customers WHERE id = 42
call the function with 3 arguments
dial = 10 + 20
lat=50.087451, lon=14.420671
total: 1 234 567,89 Kc
data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==
SGVsbG8sIFdvcmxkIQ==
class PasswordResetTokenGenerator(Base): pass
def get_user_token_from_request(request): return request.headers.get("X-Token")
self.access_token = access_token
this.apiKey = options.apiKey;
client = Client(api_key=api_key, secret=secret)
connect(host=host, password=pwd2)
login(user, password)
return {"token": token, "expires_in": 3600}
grant_type=client_credentials
secret = input("Secret: ")
password=None
token=""
password = ''
auth = HTTPBasicAuth(user, password)
auth=("user", "pass")
author = "Jane Roe"
keyboard = "us-intl"
monkey: "capuchin"
keys = ["alpha", "beta"]
keyword = "async"
passed: 128, failed: 2
bypass: true
compass = Compass(90)
passes 3 of 5 checks
session = requests.Session()
session: Session = Depends(get_session)
export DEBUG=1 NODE_ENV=production
FROM python:3.12-slim
ENV PATH=/usr/local/bin:$PATH
ARG TOKEN
kubectl get secret app -o jsonpath='{.data.password}'
echo "$PASSWORD" | docker login -u ci --password-stdin
docker login -u ci -p "$CI_TOKEN" registry.internal
mysql -u root -p shop < dump.sql
mkdir -p /var/lib/app && cp -p a b
grep -rn "password" src/
ps aux | grep token | awk '{print $2}'
openssl rand -base64 32
ssh-keygen -t ed25519 -C "ci"
gpg --recv-keys 4AEE18F83AFDEB23
key 4AEE18F83AFDEB23 imported
terraform { required_version = ">= 1.5" }
variable "db_password" { type = string\n sensitive = true }
output "token" { value = module.auth.token }
password = var.db_password
password = random_password.db.result
password = data.aws_secretsmanager_secret_version.db.secret_string
api_key = "${var.api_key}"
api_key = "{{ .Values.apiKey }}"
secret: "vault:secret/data/app#token"
token: op://vault/item/token
password: ENC[AES256_GCM,data:abc,type:str]
hash_key = "customer_id"
"key": "customer.address.street_1"
"primaryKey": "order_line_id_2"
translation_key: "errors.auth.invalid_token_2"
keyId = "projects/p/locations/l/keyRings/r"
S3Key: builds/2024/app-1.2.3.zip
event.key === "Enter"
if (e.key == 'ArrowLeft') move(-1)
Object.keys(map).forEach(key => delete map[key])
for key, value in data.items(): print(key, value)
registry key HKEY_LOCAL_MACHINE\SOFTWARE\Vendor\App
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_USER_MODEL = "accounts.User"
auth_backend: "ldap3.backend.v2"
OAuth2PasswordBearer(tokenUrl="token")
token_type: bearer
"scope": "read:user write:repo2"
error_code=AUTH_TOKEN_EXPIRED_401
tests/test_token_auth.py::test_refresh PASSED
pk_live_publishable keys are public
ghp_ tokens start with ghp_ and have 40 characters
the hf_ prefix, the sk- prefix and the AKIA prefix
css: .task-list-item-checkbox { margin: 0 }
sk-fading-circle sk-circle12 { left: 0 }
https://cdn.site.org/app.3f2a9c1b.js?v=20240501
https://docs.site.org/en/latest/api_key.html#token-auth
Accept-Language: cs-CZ,cs;q=0.9,en;q=0.8
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0
""".strip().splitlines()  # fmt: skip

# Digests, identifiers and numbers in the places where they are met.
GENERATED = """
commit {hex:40}
resp_{hex:48}
chatcmpl-{b62:29}
call_{b62:24}
req_{up:26}
blob_{hex:64}
Merge {hex:7} into {hex:7}
git revert {hex:40}
sha256={hex:64}
"sha": "{hex:40}",
checksum: {hex:32}
etag: W/"{hex:32}"
request id {uuid}
"id": "{uuid}",
user_id={uuid} action=login
idempotency_key: {uuid}
session_id={uuid}
cache_key = "{hex:32}"
image@sha256:{hex:64}
"integrity": "sha512-{b64:86}=="
sha384-{b64:64}
resolved "https://registry.yarnpkg.com/a/-/a-1.0.{dec:1}.tgz#{hex:40}"
docker run app:{hex:12}
span_id={hex:16} trace_id={hex:32}
took {dec:3} ms, {dec:6} rows
ts=17{dec:11}
order {dec:10}
invoice 2024-{dec:5}
account {dec:9}
pid {dec:5} exited
0x{hex:40}
color: #{hex:6}
v{dec:1}.{dec:2}.{dec:1}
node_{dec:3}: ready
obj at 0x7f{hex:10}
""".strip().splitlines()
_REPEATS = 10


def innocent() -> list[str]:
    """Every snippet, the generated ones with ten values each."""
    values = Values(23)
    made = [values.fill(shape) for shape in GENERATED for _ in range(_REPEATS)]
    return [line.replace("\\n", "\n") for line in SNIPPETS] + made
