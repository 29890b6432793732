"""Against a real Asterisk and real SIP telephones on loopback. Needs the packages asterisk and sip-tester."""
