def test_smoke(ask):
    print(ask("linksize"))
    print(ask("stack"))
    print(ask("digest 00"))
    print(ask("stack"))
    print(ask("x25519public 0900000000000000000000000000000000000000000000000000000000000000"))
    print(ask("stack"))
