"""Secrets of our own making in hand-written surroundings: what the redactor must find."""

from dataclasses import dataclass

from tests.core.redaction.values import Values


@dataclass(frozen=True)
class Secret:
    kind: str
    text: str
    value: str


# kind, shape of the value
TOKENS = """
engramia sk_engramia_{github}
aws AKIA{b32:16}
aws ASIA{b32:16}
google AIza{url:35}
google ya29.{url:120}
google GOCSPX-{url:28}
azure {b62:3}8Q~{b62:34}
alibaba LTAI{b62:20}
digitalocean dop_v1_{hex:64}
heroku HRKU-{url:60}
flyio fo1_{url:43}
netlify nfp_{b62:40}
supabase sbp_{hex:40}
planetscale pscale_tkn_{url:43}
neon napi_{b36:64}
aiven AVNS_{url:19}
databricks dapi{hex:32}
vault hvs.{b62:24}
vault hvs.CAES{url:91}
terraform {b62:14}.atlasv1.{b62:67}
pulumi pul-{hex:40}
doppler dp.pt.{b62:43}
doppler dp.st.dev.{b62:43}
onepassword ops_eyJ{b64:250}
age AGE-SECRET-KEY-1{bech:58}
tailscale tskey-auth-{b62:16}-{b62:32}
github ghp_{github}
github gho_{github}
github ghs_{b62:36}
github github_pat_{b62:22}_{b62:59}
gitlab glpat-{url:20}
gitlab gldt-{b62:20}
bitbucket ATBB{b62:32}
atlassian ATATT3x{url:180}={hex:8}
npm npm_{b62:36}
pypi pypi-AgEIcHlwaS5vcmc{url:150}
rubygems rubygems_{hex:48}
crates_io cio{b62:32}
nuget oy2{b36:43}
docker dckr_pat_{url:27}
artifactory AKCp{b62:69}
sonar sqp_{hex:40}
sourcegraph sgp_{hex:40}
buildkite bkua_{hex:40}
circleci CCIPAT_{b62:22}_{hex:40}
octopus API-{up:26}
prefect pnu_{b62:36}
postman PMAK-{hex:24}-{hex:34}
readme rdme_{b36:70}
anthropic sk-ant-api03-{url:93}AA
openai sk-{b62:20}T3BlbkFJ{b62:20}
openai sk-proj-{url:74}T3BlbkFJ{url:74}
openrouter sk-or-v1-{hex:64}
langfuse sk-lf-{uuid}
huggingface hf_{b62:34}
replicate r8_{b62:37}
groq gsk_{b62:52}
xai xai-{b62:80}
perplexity pplx-{b62:48}
fireworks fw_{b62:24}
nvidia nvapi-{url:64}
tavily tvly-{b62:32}
firecrawl fc-{hex:32}
langsmith lsv2_pt_{hex:32}_{hex:10}
pinecone pcsk_{b62:6}_{b62:60}
slack xoxb-{dec:12}-{dec:13}-{b62:24}
slack xapp-1-A{up:10}-{dec:13}-{hex:64}
discord M{b62:23}.{b62:6}.{url:38}
telegram {dec:10}:AA{url:33}
twilio SK{hex:32}
sendgrid SG.{url:22}.{url:43}
mailgun key-{hex:32}
mailchimp {hex:32}-us14
brevo xkeysib-{hex:64}-{b62:16}
resend re_{b62:8}_{b62:24}
stripe sk_live_{b62:24}
stripe rk_live_{b62:24}
stripe whsec_{b62:32}
square sq0atp-{url:22}
square sq0csp-{url:43}
plaid access-production-{uuid}
flutterwave FLWSECK-{hex:32}-X
shopify shpat_{hex:32}
newrelic NRAK-{up:27}
grafana glsa_{b62:32}_{hex:8}
grafana glc_{b64:60}
sentry sntryu_{hex:64}
dynatrace dt0c01.{up:24}.{up:64}
posthog phx_{b62:43}
launchdarkly sdk-{uuid}
linear lin_api_{b62:40}
notion ntn_{dec:11}{b62:35}
notion secret_{b62:43}
figma figd_{url:40}
airtable pat{b62:14}.{hex:64}
asana 1/{dec:16}:{hex:32}
typeform tfp_{url:59}
dropbox sl.{url:130}
hubspot pat-na1-{uuid}
facebook EAAC{b62:120}
okta_like 00{url:40}
jwt {jwt}
unknown acme_live_{b62:40}
unknown zq_{b62:36}
unknown acme-api-{hex:40}
""".strip().splitlines()
TOKEN_PLACES = (
    "client = Client(key='{}')",
    "export SERVICE_TOKEN={}",
    '{{"name": "prod", "credential": "{}"}}',
    "2024-05-01 12:00:03 ERROR request failed, token={} status=401",
    "hey, use {} until Friday please",
    "curl -s https://api.internal/v1/jobs -H 'Authorization: Bearer {}'",
    "services:\n  web:\n    environment:\n      - ACCESS_TOKEN={}\n",
    'resource "x" "y" {{\n  token = "{}"\n}}',
    "FROM python:3.12\nENV APP_TOKEN={}\nRUN make",
    'Traceback (most recent call last):\n  File "a.py", line 3\nAuthError: invalid token <{}>',
    "INSERT INTO settings (name, val) VALUES ('token', '{}');",
    "https://hooks.internal/run?token={}&dry=1",
    'print("first line\\ntoken: {}\\n")',
    '<setting name="token">{}</setting>',
)  # fmt: skip

# A surrounding with `@@` where the secret of the given shape stands.
PLACED = """
password|{pw:14}|DB_PASSWORD=@@
password|{pw:12}|db:\\n  user: app\\n  password: @@\\n
password|{pw:12}|conn = connect(host="db1", user="app", password="@@")
password|{b62:10}|spring.datasource.password=@@
password|{pw:16}|$env:ADMIN_PASSWORD = "@@"
password|{b62:12}|PGPASSWORD=@@ psql -h db1 -U app
password|{b62:12}|mysql -u root -p@@ -h db1 shop
password|{b62:12}|mysqldump --user=root --password=@@ shop > shop.sql
password|{b62:12}|sshpass -p '@@' ssh deploy@10.0.0.5
password|{b62:12}|docker login -u ci -p @@ registry.internal
password|{b62:12}|redis-cli -h cache1 -a @@ ping
password|{b62:12}|CREATE USER report IDENTIFIED BY '@@';
password|{b62:12}|ALTER ROLE app WITH PASSWORD '@@';
password|{b62:12}|Server=db1;Database=shop;User Id=sa;Password=@@;Encrypt=true
password|{b62:12}|jdbc:postgresql://db1/shop?user=app&password=@@&ssl=true
password|{b62:12}|machine git.internal login ci password @@
password|{b62:12}|db1:5432:shop:app:@@
password|{b62:12}|openssl rsa -in k.pem -passin pass:@@
password|{b62:12}|echo "app:@@" | chpasswd
password|{b62:12}|curl -u admin:@@ https://ci.internal/job/1
password|{b62:12}|ldapsearch -x -D cn=admin -w @@ -b dc=x
password|{b62:12}|<property name="password" value="@@"/>
password|{b62:12}|<password>@@</password>
password|{b62:12}|<add key="SmtpPassword" value="@@" />
password|{b62:12}|define('DB_PASSWORD', '@@');
password|{b62:12}|- name: MYSQL_ROOT_PASSWORD\\n  value: "@@"
password|{b62:12}|{"name": "DB_PASS", "value": "@@"}
password|{b62:12}|variable "db_password" {\\n  type = string\\n  default = "@@"\\n}
password|{b62:12}|my password is @@, can you log in?
password|{b62:12}|The admin password for staging is @@.
password|{b62:12}|login: jirka\\nheslo: @@
password|{b62:12}|Das Passwort lautet @@
password|{b62:12}|user=app pwd=@@ host=db1
password|{b62:12}|val dbPassword: String = "@@"
password|{b62:12}|password := "@@"
password|{b62:12}|String password = "@@";
password|{b62:12}|config['password'] = '@@'
password|{b62:12}|"userPassword" => "@@",
password|{b62:12}|if password != "@@":\\n    raise SystemExit
password|{b62:12}|os.getenv("DB_PASSWORD", "@@")
password|{b62:12}|${DB_PASSWORD:-@@}
password|{b62:12}|requirepass @@
password|{b62:12}|{\\"password\\": \\"@@\\"}
password|{dec:9}|password: "@@"
url|{b62:14}|postgres://app:@@@db1:5432/shop
url|{b62:14}|DATABASE_URL=mysql+pymysql://app:@@@db1/shop
url|{b62:14}|mongodb+srv://app:@@@cluster0.ab1cd.mongodb.net/test
url|{b62:14}|redis://:@@@cache1:6379/0
url|{b62:14}|amqps://app:@@@mq1/vhost
url|{b62:14}|git clone https://ci:@@@git.internal/x.git
url|{b62:32}|git remote add o https://oauth2:@@@gitlab.internal/x.git
url|{b62:14}|smtp://mailer:@@@mail1:587
url|{b62:40}|https://@@@api.internal/v1
url|{b62:14}|ftp://web:@@@ftp.internal/pub
url|p@{b62:10}|postgresql://app:@@@db1/shop
secret|{b62:32}|API_KEY=@@
secret|{b62:24}|apiKey: "@@",
secret|{hex:32}|DD_API_KEY=@@
secret|{hex:40}|"auth_token": "@@"
secret|{uuid}|HEROKU_API_KEY=@@
secret|{b64:40}|aws_secret_access_key = @@
secret|{b64:40}|{"AccessKeyId": "x", "SecretAccessKey": "@@"}
secret|{b62:50}|SECRET_KEY = '@@'
secret|{hex:64}|JWT_SECRET=@@
secret|{hex:128}|secret_key_base: @@
secret|{b62:32}|client_secret=@@&grant_type=client_credentials
secret|{b62:24}|headers = {"X-Api-Key": "@@"}
secret|{b62:24}|x-api-key: @@
secret|{b62:40}|app.run(api_token="@@")
secret|{b62:32}|tool deploy --token @@ --env prod
secret|{b62:32}|tool login --api-key=@@
secret|{b62:32}|subprocess.run(["tool", "--api-key", "@@"])
secret|{b62:32}|process.env.APP_SECRET || "@@"
secret|{b62:32}|const accessToken: string = "@@";
secret|{b62:32}|//registry.internal/:_authToken=@@
secret|{b62:32}|my api key is @@
secret|{b62:32}|kubectl create secret generic s --from-literal=api-key=@@
secret|{url:43}|ENCRYPTION_KEY="@@="
secret|{b64:86}|AccountName=store1;AccountKey=@@==;EndpointSuffix=core.windows.net
secret|{b64:43}|Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey=@@=
secret|{b62:43}|https://store1.blob.core.windows.net/c/b?sv=2022-11-02&sp=r&sig=@@%3D
secret|{hex:64}|https://b.s3.amazonaws.com/k?X-Amz-Expires=600&X-Amz-Signature=@@
secret|{b62:32}|ENV API_TOKEN @@
secret|{b62:32}|mapbox.accessToken = '@@'
secret|{b62:40}|cohere_api_key: @@
secret|{hex:32}|twilio auth token: @@
secret|{b62:24}|VERCEL_TOKEN=@@
secret|{uuid}|vault write auth/approle/login role_id=x secret_id=@@
password|{b62:12}|password: |\\n  @@
password|{b62:12}|failed for user "app" with password "@@"
secret|{b62:40}|DEBUG Using token @@
password|{b62:12}|sqlcmd -S db -U sa -P @@
password|{pw:12}|$p = ConvertTo-SecureString "@@" -AsPlainText
password|{b62:12}|pw: @@
header|{basic}|"registry.internal": {"auth": "@@"}
header|{b36:26}|PHPSESSID=@@
secret|{b62:32}|The API key we use is @@ for now
password|{b62:12}|echo @@ | docker login -u ci --password-stdin
password|{b62:12}|psk="@@"
header|{basic}|Authorization: Basic @@
header|{b62:40}|Authorization: Bearer @@
header|{b62:40}|Authorization: token @@
header|{b62:40}|{'Authorization': 'Bearer @@'}
header|{b62:40}|axios.get(u, {headers: {Authorization: "Bearer @@"}})
header|{b62:32}|Set-Cookie: session=@@; Path=/; HttpOnly
header|{b62:32}|curl -b x https://a.internal -H 'Cookie: sid=@@'
webhook|T{up:8}/B{up:10}/{b62:24}|https://hooks.slack.com/services/@@
webhook|{dec:18}/{url:68}|https://discord.com/api/webhooks/@@
pem|{pem}|-----BEGIN RSA PRIVATE KEY-----\\n@@\\n-----END RSA PRIVATE KEY-----\\n
pem|{pem}|-----BEGIN OPENSSH PRIVATE KEY-----\\n@@\\n-----END OPENSSH PRIVATE KEY-----\\n
pem|{pem}|-----BEGIN EC PRIVATE KEY-----\\nProc-Type: 4,ENCRYPTED\\nDEK-Info: AES-128-CBC,0A1B2C\\n\\n@@
pem|{pem}|cat k.pem\\n-----BEGIN PRIVATE KEY-----\\n@@
pem|{b64:64}|{"private_key": "-----BEGIN PRIVATE KEY-----\\\\n@@\\\\n-----END PRIVATE KEY-----\\\\n"}
pem|{b64:64}|-----BEGIN PGP PRIVATE KEY BLOCK-----\\n\\n@@\\n-----END PGP PRIVATE KEY BLOCK-----
email|{b36:6}.{b36:4}@gmail.com|please write to @@ about it
email|k{b36:7}@firma-novak.cz|Author: Karel <@@>
email|p{b36:7}@mail.shop.io|INSERT INTO users VALUES (1, '@@');
email|r{b36:7}+news@proton.me|mailto:@@?subject=hi
email|s{b36:7}@uni-bonn.de|{"email": "@@", "age": 31}
phone|{czech}|call me at @@ tomorrow
phone|{czech}|"phone": "@@"
phone|+1 212-664-{dec:4}|Fax: @@
phone|(212) 664-{dec:4}|ring @@ and ask for Eva
phone|+49 151 2{dec:7}|WhatsApp @@
password|{pw:10}7Z|creds: ops:@@@10.0.0.5
card|{card}|card number @@ exp 04/29
card|{card4}|Charge @@ please
card|{card}|{"pan": "@@", "cvc": "x"}
card|{card4}|my visa is @@
iban|{iban}|Please pay to @@ by Monday
iban|{iban}|"iban": "@@",
""".strip().splitlines()  # fmt: skip


def _tokens() -> list[Secret]:
    values = Values(7)
    made = []
    for number, line in enumerate(TOKENS):
        kind, shape = line.split(" ", 1)
        for step in range(3):
            value = values.fill(shape)
            place = TOKEN_PLACES[(number * 3 + step) % len(TOKEN_PLACES)]
            made.append(Secret(kind, place.format(value), value))
    return made


def _placed() -> list[Secret]:
    values = Values(11)
    made = []
    for line in PLACED:
        kind, shape, place = line.split("|", 2)
        for _ in range(2):
            value = values.fill(shape)
            text = place.replace("\\\\n", "\0").replace("\\n", "\n").replace("\0", "\\n")
            text = text.replace("@@@", "@@\0").replace("@@", value, 1).replace("\0", "@")
            made.append(Secret(kind, text, value))
    return made


SECRETS = (*_tokens(), *_placed())
