"""Who may come in: users and what they say of themselves, addresses and how often they ask."""
