"""The table of vendors' token formats, from the vendors' documentation.

A row names the vendor, the kind that stands in the placeholder, the literal starts that betray the token,
and its RE2 pattern (group 1, if there is one, is the secret). Lengths are lower bounds where vendors reserve
the right to grow, so that a longer token is taken whole. A checksum, where a vendor documents one, only adds
certainty: a token with a typing error is still nobody's business.
"""

import re
from dataclasses import dataclass

from engramia.core.redaction.candidate import Candidate
from engramia.core.redaction.checksum import carries_crc32
from engramia.core.redaction.pattern import Check, PatternDetector
from engramia.core.redaction.placeholder import is_documented, is_filler
from engramia.core.redaction.randomness import is_random, is_varied

_UUID = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
_URL64 = r"[A-Za-z0-9_-]"
_B62 = r"[A-Za-z0-9]"
_HEX = r"[0-9a-f]"


@dataclass(frozen=True, slots=True)
class Vendor:
    """One documented format: who issues it, its kind, how it starts, its pattern, and what confirms it."""

    name: str
    kind: str
    starts: tuple[str, ...]
    pattern: str
    check: Check | None = None
    hints: tuple[str, ...] = ()  # RE2 fragments that betray a token without a literal start
    then: str = ""  # RE2 fragment behind every start: without it a common word would betray a token

    def detector(self) -> PatternDetector:
        """Return the detector of this format."""
        triggers = (*(re.escape(start) + self.then for start in self.starts), *self.hints)
        return PatternDetector(self.kind, triggers, self.pattern, self.check or self._confirms)

    def _confirms(self, candidate: Candidate) -> bool:
        if not candidate.stands_alone():
            return False
        value = candidate.value
        return carries_crc32(value) or (is_varied(self._body(value)) and not is_filler(value))

    def _body(self, value: str) -> str:
        lengths = [len(start) for start in self.starts if value.lower().startswith(start.lower())]
        return value[max(lengths, default=0) :]


def _random(candidate: Candidate) -> bool:
    """Confirm a token whose start is not telling enough alone."""
    value = candidate.value
    return candidate.stands_alone() and not is_filler(value) and is_random(value)


def _present(candidate: Candidate) -> bool:
    """Confirm a token whose pattern is telling enough alone."""
    return candidate.stands_alone() and not is_documented(candidate.value)


def _named(candidate: Candidate) -> bool:
    """Confirm a token that its name or its shape tells, unless it is to be filled in."""
    return candidate.stands_alone() and not is_filler(candidate.value)


def _numbered(candidate: Candidate) -> bool:
    """Confirm a token in capitals, which differs from a name by its digits."""
    return _named(candidate) and sum(c.isdigit() for c in candidate.value) > 1


def _sk_key(candidate: Candidate) -> bool:
    """Confirm a key after `sk-`, which is short, by the randomness of the rest."""
    return _named(candidate) and is_random(candidate.value[3:])


def _near(name: str, body: str) -> str:
    """Return the pattern of a token without a start of its own, assigned to the vendor's name."""
    return (
        rf"(?i:{name})[\w.\- ]{{0,24}}(?i:key|token|secret|pat|password|license|login)[\w\-]{{0,12}}"
        rf"[\s\"'\]:=>,()]{{1,8}}(?:(?i:bearer|token) )?({body})"
    )


VENDORS = (
    # Engramia itself: 30 random base62 characters and their CRC-32 in 6 more.
    Vendor("Engramia", "engramia_api_key", ("sk_engramia_",), r"sk_engramia_[A-Za-z0-9]{20,64}"),
    # Clouds
    Vendor(
        "AWS",
        "aws_access_key",
        ("AKIA", "ASIA", "ABIA", "ACCA", "AROA", "AIDA", "AGPA", "ANPA", "ANVA", "AIPA", "APKA"),
        r"A(?:KIA|SIA|BIA|CCA|ROA|IDA|GPA|NPA|NVA|IPA|PKA)[A-Z0-9]{16,17}",
    ),
    Vendor(
        "AWS",
        "aws_secret_key",
        ("AKIA", "ASIA"),
        r"A(?:KIA|SIA)[A-Z0-9]{16}[\"']?[\s:,|;/]{1,4}[\"']?([A-Za-z0-9/+]{40})",
        _random,
    ),
    Vendor(
        "AWS",
        "aws_secret_key",
        ("aws",),
        r"(?i:aws)[\w.\- ]{0,20}(?i:secret|sk)[\w.\- ]{0,20}[\s\"'\]:=>,]{1,8}([A-Za-z0-9/+]{40})",
        _random,
    ),
    Vendor(
        "AWS", "aws_session_token", ("FwoGZXIvYXdz", "IQoJb3JpZ2lu", "FQoGZXIvYXdz"),
        r"(?:FwoGZXIvYXdz|IQoJb3JpZ2lu|FQoGZXIvYXdz)[A-Za-z0-9+/%]{40,}={0,2}",
    ),
    Vendor("AWS", "aws_mws_token", ("amzn.mws.",), rf"amzn\.mws\.{_UUID}"),
    Vendor("AWS", "aws_bedrock_key", ("ABSKQmVkcm9ja", "bedrock-api-key-"),
           r"(?:ABSKQmVkcm9ja|bedrock-api-key-)[A-Za-z0-9+/]{60,}={0,2}"),
    Vendor("AWS", "aws_signature", ("X-Amz-Signature", "X-Amz-Security-Token"),
           r"X-Amz-(?:Signature|Security-Token)(?:=|%3D)([A-Za-z0-9%+/=_-]{32,})"),
    Vendor("Google", "google_api_key", ("AIza",), r"AIza[A-Za-z0-9_-]{35}"),
    Vendor("Google", "google_oauth_token", ("ya29.",), r"ya29\.[A-Za-z0-9_-]{20,}"),
    Vendor("Google", "google_oauth_secret", ("GOCSPX-",), r"GOCSPX-[A-Za-z0-9_-]{20,}"),
    Vendor("Google", "google_refresh_token", ("1//0",), r"1//0[A-Za-z0-9_-]{20,}"),
    Vendor("Google", "google_hmac_key", ("GOOG1E",), r"GOOG1E[A-Z0-9]{50,}"),
    Vendor("Google", "google_signature", ("X-Goog-Signature",),
           r"X-Goog-Signature(?:=|%3D)([0-9a-fA-F]{32,})"),
    Vendor("Firebase", "firebase_server_key", (":APA91b",),
           r"AAAA[A-Za-z0-9_-]{7}:APA91b[A-Za-z0-9_-]{100,}"),
    Vendor("Azure", "azure_client_secret", ("Q~",), r"[A-Za-z0-9_~.-]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}"),
    Vendor("Azure", "azure_storage_key", (),
           r"(?i:key|azure|storage|cosmos)[\s\"'\]:=,]{1,6}([A-Za-z0-9+/]{86}==)", _named,
           (r"[A-Za-z0-9+/]==",)),
    Vendor("Azure", "azure_account_key", ("AccountKey", "SharedAccessKey"),
           r"(?i:AccountKey|SharedAccessKey)=([A-Za-z0-9+/]{40,}={0,2})"),
    Vendor("Azure", "azure_sas_signature", ("sig=",), r"[?&;\"' ](?:amp;)?sig=([A-Za-z0-9%+/_-]{30,}={0,2})",
           _random),
    Vendor("Azure", "azure_identifiable_key",
           ("JQQJ99", "AzCa", "AzSe", "ACDb", "AIoT", "+ASt", "+ABa", "AzFu"),
           r"[A-Za-z0-9+/]{28,90}(?:JQQJ99|AzCa|AzSe|ACDb|AIoT|\+ASt|\+ABa|AzFu)[A-Za-z0-9+/]{4,60}={0,2}",
           _random),
    Vendor("Azure DevOps", "azure_devops_pat", ("AZDO",), r"[A-Za-z0-9]{76}AZDO[A-Za-z0-9]{4}"),
    Vendor("Alibaba Cloud", "alibaba_access_key", ("LTAI",), r"LTAI[A-Za-z0-9]{12,24}"),
    Vendor("Tencent Cloud", "tencent_secret_id", ("AKID",), r"AKID[A-Za-z0-9]{32,40}"),
    Vendor("Oracle", "oracle_auth_token", ("ocid1.credential",),
           r"ocid1\.credential\.[a-z0-9.]*\.[a-z0-9]{20,}"),
    Vendor("IBM Cloud", "ibm_api_key", ("ibm", "bluemix"), _near("ibm|bluemix", r"[A-Za-z0-9_-]{44}"),
           _random),
    Vendor("Yandex Cloud", "yandex_api_key", ("AQVN", "YCA", "t1."),
           r"AQVN[A-Za-z0-9_-]{35,38}|YCA[A-Za-z0-9_-]{36,40}|t1\.[A-Za-z0-9_-]{10,}={0,2}\.[A-Za-z0-9_-]{86}={0,2}",
           then=rf"{_URL64}{{10}}"),
    Vendor("DigitalOcean", "digitalocean_token", ("dop_v1_", "doo_v1_", "dor_v1_"),
           r"do[opr]_v1_[0-9a-f]{60,}"),
    Vendor("DigitalOcean", "digitalocean_spaces_key", ("DO00", "DO801"), r"DO(?:00|801)[A-Z0-9]{16,17}"),
    Vendor("Heroku", "heroku_api_key", ("HRKU-", "heroku"),
           rf"HRKU-{_URL64}{{30,}}|{_near('heroku', _UUID)}"),
    Vendor("Fly.io", "flyio_token", ("fo1_", "fm1a_", "fm1r_", "fm2_"),
           r"fo1_[A-Za-z0-9_-]{40,}|fm(?:1[ar]|2)_[A-Za-z0-9+/]{60,}={0,3}"),
    Vendor("Cloudflare", "cloudflare_token", ("cloudflare", "cf_", "v1.0-"),
           r"v1\.0-[0-9a-f]{24}-[0-9a-f]{146}|" + _near("cloudflare|cf", rf"{_URL64}{{37,40}}"),
           _named),
    Vendor("Cloudflare", "cloudflare_token", ("cfut_", "cfat_", "cfk_"), r"cf(?:ut|at|k)_[A-Za-z0-9_-]{40,}"),
    Vendor("Fastly", "fastly_token", ("fastly",), _near("fastly", rf"{_URL64}{{32}}"), _random),
    Vendor("Scaleway", "scaleway_access_key", ("SCW",), r"SCW[A-Z0-9]{17}"),
    Vendor("Scalingo", "scalingo_token", ("tk-us-",), r"tk-us-[A-Za-z0-9_-]{48}"),
    Vendor("Vercel", "vercel_token", ("vercel", "vcp_", "vci_", "vca_", "vcr_", "vck_"),
           rf"vc[piark]_[A-Za-z0-9_-]{{24,}}|{_near('vercel', r'[A-Za-z0-9]{24}')}"),
    Vendor("Netlify", "netlify_token", ("nfp_", "nfc_", "nfu_", "nfo_", "nfb_"),
           r"nf[pcuob]_[A-Za-z0-9]{36,}"),
    Vendor("Render", "render_api_key", ("rnd_",), r"rnd_[A-Za-z0-9]{24,}"),
    Vendor("Railway", "railway_token", ("railway",), _near("railway", _UUID)),
    Vendor("Supabase", "supabase_token", ("sbp_", "sb_secret_"),
           r"sbp_(?:v0_)?[0-9a-f]{40}|sb_secret_[A-Za-z0-9_-]{20,}"),
    Vendor("PlanetScale", "planetscale_token", ("pscale_",), r"pscale_(?:tkn|oauth|pw)_[A-Za-z0-9_.=-]{30,}"),
    Vendor("Neon", "neon_api_key", ("napi_",), r"napi_[a-z0-9]{50,}"),
    Vendor("Aiven", "aiven_token", ("AVNS_", "aivenv1"),
           r"AVNS_[A-Za-z0-9_-]{15,}|aivenv1[A-Za-z0-9+/]{60,}={0,2}"),
    Vendor("Upstash", "upstash_token", ("upstash",), _near("upstash", r"[A-Za-z0-9+/_-]{40,}={0,2}"),
           _random),
    Vendor("ClickHouse", "clickhouse_key", ("4b1d",), r"4b1d[A-Za-z0-9]{38}", _random),
    Vendor("Databricks", "databricks_token", ("dapi", "dose", "dkea"),
           r"(?:dapi|dose|dkea)[0-9a-f]{32}(?:-[0-9])?"),
    Vendor("Snowflake", "snowflake_token", ("ETMsDgAAA", "ver:1-hint"),
           r"(?:ver:1-hint:[0-9]+-)?ETMsDgAAA[A-Za-z0-9+/=%-]{40,}"),
    Vendor("Confluent", "confluent_secret", ("cflt",), r"cflt[A-Za-z0-9+/]{60}"),
    Vendor("HashiCorp Vault", "vault_token", ("hvs.", "hvb.", "hvr."), r"hv[sbr]\.[A-Za-z0-9_-]{24,}"),
    Vendor("HashiCorp Vault", "vault_token", ("VAULT", "X-Vault-Token"),
           r"(?i:vault)[\w.\- ]{0,12}(?i:token)[\s\"':=]{1,6}(s\.[A-Za-z0-9]{24})"),
    Vendor("HashiCorp Vault", "vault_secret_id", ("secret_id", "secret-id"),
           rf"(?i:secret[_-]id)[\s\"':=]{{1,6}}({_UUID})", _present),
    Vendor("Terraform Cloud", "terraform_token", (".atlasv1.",),
           r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{60,}"),
    Vendor("Pulumi", "pulumi_token", ("pul-",), r"pul-[0-9a-f]{40}"),
    Vendor("Doppler", "doppler_token", ("dp.pt.", "dp.st.", "dp.ct.", "dp.sa.", "dp.scim.", "dp.audit."),
           r"dp\.(?:pt|ct|sa|scim|audit|st(?:\.[a-z0-9_-]{2,35})?)\.[A-Za-z0-9]{40,44}"),
    Vendor("Infisical", "infisical_token", ("st.",), rf"st\.{_HEX}{{24}}\.{_HEX}{{32}}\.{_HEX}{{32}}",
           then=rf"{_HEX}{{8}}"),
    Vendor("1Password", "onepassword_token", ("ops_eyJ",), r"ops_eyJ[A-Za-z0-9+/_=-]{60,}", _present),
    Vendor("1Password", "onepassword_secret_key", ("A3-",),
           r"A3-[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})-[A-Z0-9]{5}-[A-Z0-9]{5}-[A-Z0-9]{5}"),
    Vendor("Akeyless", "akeyless_key", ("p-",),
           r"p-[a-z0-9]{12,14}[\"']?[\s:,]{1,3}[\"']?([A-Za-z0-9+/]{43}=)", _random),
    Vendor("age", "age_secret_key", ("AGE-SECRET-KEY-1",),
           r"AGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}"),
    Vendor("Tailscale", "tailscale_key", ("tskey-",),
           r"tskey-[a-z]{2,10}-[A-Za-z0-9]{8,}(?:-[A-Za-z0-9]{16,})?"),
    Vendor("ngrok", "ngrok_token", ("ngrok",), _near("ngrok", r"[0-9][A-Za-z0-9]{25,}_[A-Za-z0-9]{10,}"),
           _random),
    Vendor("Defined Networking", "defined_networking_token", ("dnkey-",),
           r"dnkey-[A-Za-z0-9=_-]{26}-[A-Za-z0-9=_-]{52}"),
    # Code and packages
    Vendor("GitHub", "github_token", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"gh[pousr]_[A-Za-z0-9]{36,}"),
    Vendor("GitHub", "github_token", ("github_pat_",),
           r"github_pat_[A-Za-z0-9]{20,}_[A-Za-z0-9]{40,}|github_pat_\w{40,}"),
    Vendor("GitLab", "gitlab_token",
           ("glpat-", "gldt-", "glrt-", "glrtr-", "glcbt-", "glptt-", "glft-", "glimt-", "glagent-",
           "gloas-", "glsoat-", "glffct-"),
           r"gl(?:pat|dt|rt|rtr|cbt|ptt|ft|imt|agent|oas|soat|ffct)-[A-Za-z0-9_-]{20,}(?:\.[A-Za-z0-9]{2}\.[A-Za-z0-9]{9})?"),
    Vendor("GitLab", "gitlab_token", ("GR1348941", "_gitlab_session"),
           r"GR1348941[A-Za-z0-9_-]{20,}|_gitlab_session=([0-9a-f]{32})"),
    Vendor("Bitbucket", "bitbucket_token", ("ATBB", "ATCTT3"),
           r"ATBB[A-Za-z0-9]{28,}|ATCTT3[A-Za-z0-9_=-]{60,}"),
    Vendor("Atlassian", "atlassian_token", ("ATATT3", "ATSTT3", "ATOA"),
           r"AT[AS]TT3[A-Za-z0-9_=-]{60,}|ATOA[A-Za-z0-9_=-]{60,}"),
    Vendor("npm", "npm_token", ("npm_",), r"npm_[A-Za-z0-9]{36,}"),
    Vendor("PyPI", "pypi_token", ("pypi-AgE",), r"pypi-AgE[A-Za-z0-9_-]{50,}"),
    Vendor("RubyGems", "rubygems_key", ("rubygems_",), r"rubygems_[0-9a-f]{48}"),
    Vendor("crates.io", "crates_io_token", ("cio",), r"cio[A-Za-z0-9]{32}", _random, then=rf"{_B62}{{12}}"),
    Vendor("NuGet", "nuget_key", ("oy2",), r"oy2[a-z0-9]{43}"),
    Vendor("Clojars", "clojars_token", ("CLOJARS_",), r"CLOJARS_[a-z0-9]{60}"),
    Vendor("Docker Hub", "docker_token", ("dckr_pat_", "dckr_oat_"), r"dckr_[po]at_[A-Za-z0-9_-]{24,}"),
    Vendor("JFrog", "artifactory_token", ("AKCp", "cmVmdGtu", "cmVmd"),
           r"AKCp[A-Za-z0-9]{60,}|cmVmd[A-Za-z0-9]{55,}"),
    Vendor("Sonar", "sonar_token", ("sqp_", "squ_", "sqa_"), r"sq[pua]_[0-9a-f]{40}"),
    Vendor("Snyk", "snyk_token", ("snyk",), _near("snyk", _UUID), _present),
    Vendor("Sourcegraph", "sourcegraph_token", ("sgp_",),
           r"sgp_(?:(?:[0-9a-fA-F]{16}|local)_)?[0-9a-fA-F]{40}"),
    Vendor("Buildkite", "buildkite_token", ("bkua_", "bkct_", "bkaj_"), r"bk(?:ua|ct|aj)_[A-Za-z0-9]{36,}"),
    Vendor("CircleCI", "circleci_token", ("CCIPAT_", "CCIPRJ_"),
           r"CCIP(?:AT|RJ)_[A-Za-z0-9]{20,24}_[0-9a-f]{40}"),
    Vendor("Travis CI", "travis_token", ("travis",), _near("travis", r"[A-Za-z0-9_-]{22}"), _random),
    Vendor("Codecov", "codecov_token", ("codecov",), _near("codecov", _UUID), _present),
    Vendor("Octopus Deploy", "octopus_key", ("API-",), r"API-[A-Z0-9]{25,32}", _numbered),
    Vendor("Harness", "harness_token", ("pat.", "sat."),
           r"[ps]at\.[A-Za-z0-9_-]{22}\.[0-9a-f]{24}\.[A-Za-z0-9]{20}"),
    Vendor("Prefect", "prefect_key", ("pnu_", "pnb_"), r"pn[ub]_[A-Za-z0-9]{36}"),
    Vendor("Postman", "postman_key", ("PMAK-", "PMAT-"), r"PMAK-[0-9a-f]{24}-[0-9a-f]{34}|PMAT-[A-Z0-9]{26}"),
    Vendor("ReadMe", "readme_key", ("rdme_",), r"rdme_[a-z0-9]{70}"),
    Vendor("Contentful", "contentful_token", ("CFPAT-",), r"CFPAT-[A-Za-z0-9_-]{40,}"),
    Vendor("OpenShift", "openshift_token", ("sha256~",), r"sha256~[A-Za-z0-9_-]{43}"),
    # Models
    Vendor("Anthropic", "anthropic_api_key", ("sk-ant-",),
           r"sk-ant-(?:[a-z]{2,6}[0-9]{2}-)?[A-Za-z0-9_-]{24,}"),
    Vendor("OpenAI", "openai_api_key", ("sk-proj-", "sk-svcacct-", "sk-admin-", "sk-None-", "sk-service-"),
           r"sk-(?:proj|svcacct|admin|None|service)-[A-Za-z0-9_-]{20,}"),
    Vendor("OpenAI", "openai_api_key", ("sk-",), r"sk-[A-Za-z0-9]{20,}", _sk_key),
    Vendor("OpenRouter", "openrouter_key", ("sk-or-",), r"sk-or-(?:v[0-9]-)?[0-9a-f]{32,}"),
    Vendor("Langfuse", "langfuse_key", ("sk-lf-",), rf"sk-lf-{_UUID}"),
    Vendor("Hugging Face", "huggingface_token", ("hf_", "api_org_"), r"(?:hf|api_org)_[A-Za-z0-9]{30,}"),
    Vendor("Replicate", "replicate_token", ("r8_",), r"r8_[A-Za-z0-9]{32,}"),
    Vendor("Groq", "groq_key", ("gsk_",), r"gsk_[A-Za-z0-9]{40,}"),
    Vendor("xAI", "xai_key", ("xai-",), r"xai-[A-Za-z0-9]{60,}"),
    Vendor("Perplexity", "perplexity_key", ("pplx-",), r"pplx-[A-Za-z0-9]{32,}"),
    Vendor("Fireworks", "fireworks_key", ("fw_",), r"fw_[A-Za-z0-9]{20,}", _random),
    Vendor("Together", "together_key", ("tgp_v1_", "together"),
           rf"tgp_v1_[A-Za-z0-9_-]{{30,}}|{_near('together', r'[0-9a-f]{64}')}"),
    Vendor("Cerebras", "cerebras_key", ("csk-",), r"csk-[a-z0-9]{40,}"),
    Vendor("NVIDIA", "nvidia_key", ("nvapi-",), r"nvapi-[A-Za-z0-9_-]{40,}"),
    Vendor("Mistral", "mistral_key", ("mistral",), _near("mistral", r"[A-Za-z0-9]{32}"), _random),
    Vendor("Cohere", "cohere_key", ("cohere", "CO_API_KEY"), _near("cohere|co_api", r"[A-Za-z0-9]{40}"),
           _random),
    Vendor("Voyage", "voyage_key", ("pa-",), r"pa-[A-Za-z0-9_-]{40,}", _random),
    Vendor("Jina", "jina_key", ("jina_",), r"jina_[A-Za-z0-9_-]{40,}"),
    Vendor("Tavily", "tavily_key", ("tvly-",), r"tvly-(?:[a-z]{2,5}-)?[A-Za-z0-9_-]{28,}"),
    Vendor("Firecrawl", "firecrawl_key", ("fc-",), r"fc-[0-9a-f]{32}"),
    Vendor("LangSmith", "langsmith_key", ("lsv2_", "ls__"),
           r"lsv2_(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10}|ls__[0-9a-f]{32}"),
    Vendor("Pinecone", "pinecone_key", ("pcsk_",), r"pcsk_[A-Za-z0-9]{4,8}_[A-Za-z0-9]{50,}|pcsk_\w{50,}"),
    Vendor("ElevenLabs", "elevenlabs_key", ("sk_",), r"sk_[0-9a-f]{48}"),
    Vendor("E2B", "e2b_key", ("e2b_",), r"e2b_[0-9a-f]{40}"),
    Vendor("Apify", "apify_token", ("apify_api_",), r"apify_api_[A-Za-z0-9]{34,}"),
    Vendor("Weights & Biases", "wandb_key", ("wandb",), _near("wandb", r"[0-9a-f]{40}"), _present),
    # Messages
    Vendor("Slack", "slack_token",
           ("xoxb-", "xoxp-", "xoxa-", "xoxr-", "xoxs-", "xoxo-", "xoxe-", "xoxc-", "xoxd-", "xoxe.",
           "xapp-"),
           r"(?:xoxe\.)?xox[abceoprsd]-[A-Za-z0-9%/+-]{10,}|xapp-[0-9]-[A-Za-z0-9-]{20,}"),
    Vendor("Slack", "slack_webhook", ("hooks.slack.com",),
           r"hooks\.slack\.com/(?:services|workflows|triggers)/([A-Za-z0-9+/_-]{20,})"),
    Vendor("Microsoft Teams", "teams_webhook", ("webhookb2", "outlook.office.com/webhook"),
           r"office(?:365)?\.com/webhook(?:b2)?/([A-Za-z0-9@/-]{36,})", _present),
    Vendor("Discord", "discord_webhook", ("discord.com/api/webhooks", "discordapp.com/api/webhooks"),
           r"discord(?:app)?\.com/api/(?:v[0-9]+/)?webhooks/([0-9]{15,20}/[A-Za-z0-9_-]{40,})"),
    Vendor("Discord", "discord_bot_token", (),
           r"[MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,40}", _random,
           (r"[A-Za-z0-9_-]\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]",)),
    Vendor("Telegram", "telegram_bot_token", (":AA",), r"(?:bot)?[0-9]{8,10}:AA[A-Za-z0-9_-]{32,34}"),
    Vendor("Twilio", "twilio_key", ("SK",), r"SK[0-9a-f]{32}", then=rf"{_HEX}{{8}}"),
    Vendor("Twilio", "twilio_auth_token", ("twilio",), _near("twilio", r"[0-9a-f]{32}"), _present),
    Vendor("Twilio", "twilio_auth_token", (), r"AC[0-9a-f]{32}[\"']?[\s:,]{1,3}[\"']?([0-9a-f]{32})",
           _present,
           (r"AC[0-9a-f]{32}",)),
    Vendor("SendGrid", "sendgrid_key", ("SG.",), r"SG\.[A-Za-z0-9_-]{16,24}\.[A-Za-z0-9_-]{39,45}"),
    Vendor("Mailgun", "mailgun_key", ("key-", "mailgun"),
           rf"key-[0-9a-f]{{32}}|{_near('mailgun', r'[0-9a-f]{32}-[0-9a-f]{8}-[0-9a-f]{8}')}"),
    Vendor("Mailgun", "mailgun_key", (), r"[0-9a-f]{32}-[0-9a-f]{8}-[0-9a-f]{8}",
           hints=(r"[0-9a-f]-[0-9a-f]{8}-[0-9a-f]{8}",)),
    Vendor("Mailchimp", "mailchimp_key", ("-us",), r"[0-9a-f]{32}-us[0-9]{1,2}"),
    Vendor("Brevo", "brevo_key", ("xkeysib-", "xsmtpsib-"), r"x(?:key|smtp)sib-[0-9a-f]{64}-[A-Za-z0-9]{16}"),
    Vendor("Resend", "resend_key", ("re_",), r"re_[A-Za-z0-9]{8}_[A-Za-z0-9]{20,28}", _random,
           then=rf"{_B62}{{8}}_"),
    Vendor("Postmark", "postmark_token", ("postmark",), _near("postmark", _UUID), _present),
    Vendor("Intercom", "intercom_token", ("dG9rO",), r"dG9rO[A-Za-z0-9+/]{50,}={0,2}"),
    Vendor("MessageBird", "messagebird_key", ("messagebird",), _near("messagebird", r"[A-Za-z0-9]{25}"),
           _random),
    # Money
    Vendor("Stripe", "stripe_key", ("sk_live_", "sk_test_", "rk_live_", "rk_test_", "sk_prod_", "rk_prod_"),
           r"[sr]k_(?:live|test|prod)_[A-Za-z0-9]{16,}"),
    Vendor("Stripe", "stripe_webhook_secret", ("whsec_",), r"whsec_[A-Za-z0-9+/]{24,}={0,2}"),
    Vendor("Square", "square_token", ("sq0atp-", "sq0csp-", "EAAA"),
           r"sq0(?:atp|csp)-[A-Za-z0-9_-]{22,}|EAAA[lE][A-Za-z0-9_-]{50,}"),
    Vendor("Braintree", "braintree_token", ("access_token$",),
           r"access_token\$(?:production|sandbox)\$[0-9a-z]{16}\$[0-9a-f]{32}"),
    Vendor("Plaid", "plaid_token", ("access-",), rf"access-(?:sandbox|development|production)-{_UUID}"),
    Vendor("Adyen", "adyen_key", ("AQE",), r"AQE[mhyr][A-Za-z0-9+/]{20,}[A-Za-z0-9+/=\-]{20,}", _random,
           then="[mhyr]" + "[a-z0-9+/]" * 3),
    Vendor("Razorpay", "razorpay_key", ("rzp_",), r"rzp_(?:live|test)_[A-Za-z0-9]{14,}"),
    Vendor("Flutterwave", "flutterwave_key", ("FLWSECK",), r"FLWSECK(?:_TEST)?-[0-9a-zA-Z]{12,}(?:-X)?"),
    Vendor("Duffel", "duffel_token", ("duffel_",), r"duffel_(?:test|live)_[A-Za-z0-9_=-]{43}"),
    Vendor("EasyPost", "easypost_key", ("EZAK", "EZTK"), r"EZ[AT]K[A-Za-z0-9]{54}"),
    Vendor("Shippo", "shippo_token", ("shippo_",), r"shippo_(?:live|test)_[0-9a-f]{40}"),
    Vendor("Lob", "lob_key", ("live_", "test_"), r"(?:live|test)_[0-9a-f]{35}", then=_HEX * 4),
    Vendor("Shopify", "shopify_token", ("shpat_", "shpca_", "shppa_", "shpss_", "shpua_", "shptka_"),
           r"shp(?:at|ca|pa|ss|ua|tka)_[0-9a-fA-F]{32,}"),
    # Watching
    Vendor("Datadog", "datadog_key", ("datadog", "dd_", "dd-"),
           _near("datadog|dd", r"(?:[0-9a-f]{40}|[0-9a-f]{32})"), _present),
    Vendor("New Relic", "newrelic_key", ("NRAK-", "NRJS-", "NRII-", "NRIQ-", "NRRA-", "NRAL"),
           r"NR(?:AK|JS|II|IQ|RA)-[A-Za-z0-9_-]{19,}|[0-9a-f]{36}NRAL"),
    Vendor("Grafana", "grafana_token", ("glsa_", "glc_", "eyJrIjoi"),
           r"glsa_[A-Za-z0-9]{32}_[0-9a-fA-F]{8}|glc_[A-Za-z0-9+/]{32,}={0,2}|eyJrIjoi[A-Za-z0-9+/]{60,}={0,2}"),
    Vendor("Sentry", "sentry_token", ("sntrys_", "sntryu_", "sntrya_", "sntryi_"),
           r"sntry[suai]_[A-Za-z0-9+/=_-]{40,}"),
    Vendor("Honeycomb", "honeycomb_key", ("hcaik_", "hcbik_", "hcamk_", "hcxik_"),
           r"hc[abx][im]k_[A-Za-z0-9]{50,}"),
    Vendor("Dynatrace", "dynatrace_token", ("dt0c01.", "dt0s01.", "dt0s16."),
           r"dt0[cs][0-9]{2}\.[A-Z0-9]{8,24}\.[A-Z0-9]{64}"),
    Vendor("PagerDuty", "pagerduty_key", ("pagerduty", "pd_"),
           _near("pagerduty|pd", r"(?:u\+)?[A-Za-z0-9_+-]{18,20}"), _random),
    Vendor("PostHog", "posthog_key", ("phx_",), r"phx_[A-Za-z0-9_]{40,}"),
    Vendor("LaunchDarkly", "launchdarkly_key", ("sdk-", "api-", "mob-"), rf"(?:sdk|api|mob)-{_UUID}"),
    Vendor("Statsig", "statsig_key", ("secret-",), r"secret-[A-Za-z0-9]{40,}"),
    Vendor("Segment", "segment_token", ("sgp_", "segment"), _near("segment", r"[A-Za-z0-9]{32}"), _random),
    Vendor("Algolia", "algolia_key", ("algolia",), _near("algolia", r"[0-9a-f]{32}"), _present),
    Vendor("Sumo Logic", "sumologic_key", ("sumo",), _near("sumo", r"[A-Za-z0-9]{64}"), _random),
    Vendor("Splunk", "splunk_token", ("splunk",), _near("splunk", _UUID), _present),
    # Work
    Vendor("Linear", "linear_key", ("lin_api_", "lin_oauth_", "lin_wh_"),
           r"lin_(?:api|oauth|wh)_[A-Za-z0-9]{32,}"),
    Vendor("Notion", "notion_token", ("ntn_", "secret_"), r"ntn_[A-Za-z0-9]{40,}|secret_[A-Za-z0-9]{43}"),
    Vendor("Figma", "figma_token", ("figd_", "figo_", "figor_"), r"fig(?:d|o|or|u|ur)_[A-Za-z0-9_-]{36,}"),
    Vendor("Airtable", "airtable_token", ("pat",), r"pat[A-Za-z0-9]{14}\.[0-9a-f]{64}",
           then=rf"{_B62}{{14}}\."),
    Vendor("Airtable", "airtable_key", ("airtable",), _near("airtable", r"key[A-Za-z0-9]{14}"), _present),
    Vendor("Asana", "asana_token", (), r"[0-9]/[0-9]{12,20}(?:/[0-9]{12,20})?:[0-9a-f]{32}",
           hints=(r"[0-9]/[0-9]{12}",)),
    Vendor("ClickUp", "clickup_token", ("pk_",), r"pk_[0-9]{6,9}_[A-Z0-9]{32}"),
    Vendor("Typeform", "typeform_token", ("tfp_",), r"tfp_[A-Za-z0-9_-]{40,}"),
    Vendor("Dropbox", "dropbox_token", ("sl.",), r"sl\.(?:u\.)?[A-Za-z0-9_-]{60,}"),
    Vendor("Frame.io", "frameio_token", ("fio-u-",), r"fio-u-[A-Za-z0-9_=-]{60,}"),
    Vendor("Zapier", "zapier_webhook", ("hooks.zapier.com",),
           r"hooks\.zapier\.com/hooks/catch/([0-9]{4,}/[A-Za-z0-9]{5,})", _present),
    Vendor("HubSpot", "hubspot_token", ("pat-na", "pat-eu", "pat-ap"), rf"pat-(?:na|eu|ap)[0-9]-{_UUID}"),
    Vendor("Salesforce", "salesforce_token", ("00D",), r"00D[A-Za-z0-9]{12,15}![A-Za-z0-9._]{60,}"),
    Vendor("Mapbox", "mapbox_token", ("sk.eyJ",), r"sk\.eyJ[A-Za-z0-9_-]{40,}\.[A-Za-z0-9_-]{20,}"),
    Vendor("MaxMind", "maxmind_key", ("_mmk",), r"[A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk"),
    # People
    Vendor("Facebook", "facebook_token", ("EAA",),
           r"EAA[A-Z][A-Za-z0-9]{60,}|[0-9]{15,16}\|[A-Za-z0-9_-]{27}",
           hints=(r"[0-9]{15}\|[A-Za-z0-9]",)),
    Vendor("Instagram", "instagram_token", ("IGQ", "IGAA"), r"IG(?:Q[A-Z]|AA)[A-Za-z0-9_-]{60,}"),
    Vendor("X", "x_bearer_token", ("AAAAAAAAAAAAAAAAAAAA",), r"A{20,24}[A-Za-z0-9%]{60,}", _random),
    Vendor("LinkedIn", "linkedin_secret", ("WPL_AP1.",), r"WPL_AP1\.[A-Za-z0-9]{16}\.[A-Za-z0-9+/=]{8,}"),
    Vendor("TikTok", "tiktok_token", ("act.",), r"act\.[A-Za-z0-9!._-]{60,}", _random),
    Vendor("Adobe", "adobe_secret", ("p8e-", "p8_"), r"p8e-[A-Za-z0-9_-]{32}"),
    # Identity
    Vendor("Okta", "okta_token", ("okta", "SSWS"),
           r"(?i:okta|ssws)[\w.\-]{0,24}[\s\"':=]{1,6}(?:SSWS )?(00[A-Za-z0-9_=-]{40})"),
    Vendor("Clerk", "clerk_key", ("sk_live_", "sk_test_"),
           r"sk_(?:live|test)_[A-Za-z0-9]{16,}[A-Za-z0-9_]{20,}"),
    Vendor("Auth0", "auth0_secret", ("auth0",), _near("auth0", r"[A-Za-z0-9_-]{48,64}"), _random),
    Vendor("Authress", "authress_key", (".acc_", ".acc-"),
           r"(?:sc|ext|scauth|authress)_[a-z0-9]{5,30}\.[a-z0-9]{4,6}\.acc[_-][a-z0-9-]{10,32}\.[A-Za-z0-9+/_=-]{30,}"),
)  # fmt: skip
