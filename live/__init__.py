"""The running half of Madoi: wire, stores, gateway, media plane and HTTP."""
