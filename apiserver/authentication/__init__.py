"""Who asks: client certificates, tokens, front proxies, anonymous."""

from __future__ import annotations

import time
from collections.abc import Callable

from apimachinery import kinds
from apiserver.authentication import static_tokens
from apiserver.authentication.authenticator import ANONYMOUS, Authenticator, Verifier
from apiserver.authentication.bootstrap_tokens import BootstrapTokens
from apiserver.authentication.certificates import Certificates, load_authorities
from apiserver.authentication.front_proxy import FrontProxy
from apiserver.authentication.oidc import OpenID, Provider
from apiserver.authentication.service_accounts import Bound, Key, ServiceAccountTokens, TokenIssuer, load_public
from apiserver.options import Options
from apiserver.storage import Storage

__all__ = ["ANONYMOUS", "Authenticator", "Bound", "TokenIssuer", "build_authenticator"]


def build_authenticator(storage: Storage, options: Options, *, clock: Callable[[], float] = time.time) -> Authenticator:
    """The authenticator that the flags ask for; call before the storage starts, since it listens."""
    audiences = options.api_audiences or [options.service_account_issuer]
    issuer, accounts = None, None
    verifiers: list[Verifier] = []
    keys = _keys(options)
    if keys:
        accounts = ServiceAccountTokens(storage, keys, issuer=options.service_account_issuer, clock=clock)
        verifiers.append(accounts)
    if options.service_account_signing_key_file:
        issuer = TokenIssuer(
            options.service_account_issuer, options.service_account_signing_key_file, audiences=audiences, clock=clock
        )
    if options.enable_bootstrap_token_auth:
        verifiers.append(BootstrapTokens(storage, clock=clock))
    if options.oidc_issuer_url:
        verifiers.append(OpenID(_provider(options), clock=clock))
    front_proxy = None
    if options.requestheader_client_ca_file:
        front_proxy = FrontProxy(
            options.requestheader_allowed_names,
            options.requestheader_username_headers,
            options.requestheader_uid_headers,
            options.requestheader_group_headers,
            options.requestheader_extra_headers_prefix,
        )
    authenticator = Authenticator(
        certificates=Certificates(
            authorities=load_authorities(options.client_ca_file) if options.client_ca_file else [],
            proxy_authorities=load_authorities(options.requestheader_client_ca_file) if front_proxy else [],
            clock=clock,
        ),
        static=static_tokens.load(options.token_auth_file) if options.token_auth_file else {},
        verifiers=verifiers,
        audiences=audiences,
        clock=clock,
        anonymous=options.anonymous_auth,
        front_proxy=front_proxy,
        issuer=issuer,
        accounts=accounts,
    )
    for kind in (kinds.POD, kinds.SERVICE_ACCOUNT, kinds.NODE):
        storage.listen_entries(kind, authenticator.on_deletion)
    storage.listen_entries(kinds.SECRET, authenticator.on_change)
    return authenticator


def _provider(options: Options) -> Provider:
    return Provider(
        issuer=options.oidc_issuer_url,
        client_id=options.oidc_client_id,
        ca_file=options.oidc_ca_file,
        username_claim=options.oidc_username_claim,
        username_prefix=options.oidc_username_prefix,
        groups_claim=options.oidc_groups_claim,
        groups_prefix=options.oidc_groups_prefix,
        required_claims=dict(each.partition("=")[::2] for each in options.oidc_required_claim),
        algorithms=options.oidc_signing_algs,
    )


def _keys(options: Options) -> list[Key]:
    """The keys that verify tokens: those given, or the signing key's."""
    files = options.service_account_key_file or [options.service_account_signing_key_file]
    found = {key.id: key for key in (load_public(path) for path in files if path)}
    return list(found.values())
