package connector

// plugging in the sibling packages, so that one import of this module, or one
// `--with` of xcaddy, gives everything; who wants one of them imports it alone
import (
	_ "github.com/f737063d/caddy-connector/anychannel"
	_ "github.com/f737063d/caddy-connector/anychannel/receiver"
	_ "github.com/f737063d/caddy-connector/cardkit/cardkitcmd"
	_ "github.com/f737063d/caddy-connector/connections"
	_ "github.com/f737063d/caddy-connector/connections/connectionscmd"
	_ "github.com/f737063d/caddy-connector/datastore"
	_ "github.com/f737063d/caddy-connector/datastore/datastorecmd"
	_ "github.com/f737063d/caddy-connector/proxyauth"
	_ "github.com/f737063d/caddy-connector/subscriptions"
	_ "github.com/f737063d/caddy-connector/subscriptions/receiver"
)
