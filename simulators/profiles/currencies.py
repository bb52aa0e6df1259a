"""Money as headers write it: the currency, and how many of what is written make one of it.

A price in cents that is taken for one in euros is wrong by a hundred, and looks like a price. What is neither a
currency of ISO 4217, nor a name or a hundredth of one listed here, is no unit of a price.
"""

from __future__ import annotations

_CODES = """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF
    CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL
    HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD
    MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG
    QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD
    TWD TZS UAH UGX USD UYU UZS VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW HRK
"""
_ISO_4217 = frozenset(_CODES.split())
_NAMES = {
    "€": "EUR", "euro": "EUR", "euros": "EUR", "$": "USD", "us$": "USD", "£": "GBP", "¥": "JPY", "yen": "JPY",
    "rmb": "CNY", "₹": "INR", "rs": "INR", "kč": "CZK", "zł": "PLN", "zl": "PLN", "sfr": "CHF", "fr": "CHF",
}  # fmt: skip
# hundredths, and of which currency where there is no doubt
_HUNDREDTHS = {
    "ct": "1", "cts": "1", "cent": "1", "cents": "1", "c": "1", "¢": "1", "p": "1", "pence": "1", "penny": "1",
    "eurct": "EUR", "eurcent": "EUR", "eurcents": "EUR", "€ct": "EUR", "ct€": "EUR", "cteur": "EUR", "usct": "USD",
    "uscent": "USD", "uscents": "USD", "usc": "USD", "ore": "1", "öre": "1", "øre": "1", "oere": "1", "rp": "CHF",
    "rappen": "CHF", "grosz": "PLN", "gr": "PLN", "paise": "INR", "paisa": "INR", "sen": "1",
}  # fmt: skip
_STRONG = frozenset({"EUR", "USD", "GBP", "CHF"})
"""Of which no kWh has cost ten over the whole of a series."""
_THOUSANDTHS = frozenset({"mill", "mills"})
_PENCE = ("GBp", "GBX", "GBx")


def money(text: str) -> tuple[float, str] | None:
    """How much of a currency one of `text` is, and the currency (1: not said); None: it is no money.

    Examples
    --------
    >>> money("EUR"), money("ct"), money("øre"), money("GBp"), money("lbs")
    ((1.0, 'EUR'), (0.01, '1'), (0.01, '1'), (0.01, 'GBP'), None)
    """
    bare = "".join(text.split())
    if bare in _PENCE:
        return 0.01, "GBP"
    folded = bare.lower().rstrip(".")
    if folded in _HUNDREDTHS:
        return 0.01, _HUNDREDTHS[folded]
    if folded in _THOUSANDTHS:
        return 0.001, "1"
    name = _NAMES.get(folded, folded.upper())
    return (1.0, name) if name in _ISO_4217 or name == "1" else None


def dearest_per_kwh(currency: str) -> float:
    """A mean price that no series of a currency reaches, per kWh.

    Examples
    --------
    >>> dearest_per_kwh("EUR"), dearest_per_kwh("JPY")
    (10.0, inf)
    """
    return 10.0 if currency in _STRONG else float("inf")
