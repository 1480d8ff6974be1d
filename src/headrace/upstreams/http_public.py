"""Which addresses are public: whoever may only go out is not led in by a name that resolves to something inside.

An IPv6 address may hold one of IPv4, which is then what counts (NAT64, 6to4, mapped ones); of the rest only global
unicast is public at all.
"""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

#: Where an IPv4 address stands in an IPv6 address: the network, and how many bits are below the address.
_HOLDERS = (
    (IPv6Network("::/96"), 0),
    (IPv6Network("::ffff:0:0/96"), 0),
    (IPv6Network("::ffff:0:0:0/96"), 0),
    (IPv6Network("64:ff9b::/96"), 0),
    (IPv6Network("2002::/16"), 80),
)
_UNICAST = IPv6Network("2000::/3")
#: Not for anybody on the internet, whatever the standard library says of them: tunnels (Teredo, ORCHID), relays,
#: documentation.
_NEVER = tuple(map(ip_network, ("2001::/23", "2001:db8::/32", "3fff::/20", "192.0.0.0/24", "192.88.99.0/24")))


def is_public(text: str) -> bool:
    """Whether a numerical address belongs to the public internet. False for what is no address."""
    try:
        address = _meant(ip_address(text))
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and (address.scope_id is not None or address not in _UNICAST):
        return False
    return address.is_global and not address.is_multicast and not any(address in network for network in _NEVER)


def _meant(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address in an IPv6 address, where it holds one."""
    if isinstance(address, IPv6Address):
        for network, below in _HOLDERS:
            if address in network:
                return IPv4Address(int(address) >> below & 0xFFFFFFFF)
    return address
