// Package openapi does for connections what an OpenAPI document of an API is
// good for: it makes the API's config of it, and checks calls against it. It
// reads OpenAPI 3.0 and 3.1, in JSON or YAML.
//
// # Import
//
// A document becomes an `api` block:
//
//		caddy connector import [--name <name>] [--format caddyfile|json] <file>|-
//
//		api <name> {
//			base_url <template>
//			variable <name> {
//				default <value>
//				pattern <regexp>
//			}
//			auth none | basic | bearer | certificate
//			auth api_key header|query|cookie <name>
//			auth oauth2 {
//				grant         authorization_code | client_credentials | password
//				authorize_url <url>
//				token_url     <url>
//				client_id     <id>
//				client_secret {env.<NAME>_CLIENT_SECRET}
//				scopes        <scope>...
//				auth_style    header
//			}
//			test GET <path>
//			openapi <file>
//		}
//
//	  - The name is made of the document's title, unless one is given.
//	  - base_url is the URL of the first server. Its variables are variables
//	    here, with a pattern where they have an enum; one that cannot be in a
//	    template, such as a scheme or a port, is fixed to its default. It is
//	    quoted, since caddy fmt takes bare braces for blocks.
//	  - auth are the schemes of the first alternative in the document's security
//	    that can be had: apiKey, http basic and bearer, oauth2 with the flows
//	    authorizationCode, clientCredentials and password, and mutualTLS.
//	  - test is a GET operation that needs nothing but credentials, one that tells
//	    who asks if there is one.
//
// What is left out, or is to be known, is said in messages: comments of the
// block, or members of the JSON, which is {"api": {...}, "messages": [{"text",
// "severity", "detail"}]}. The command ends with 0 if it has made a block, with
// 2 if that lacks something (a message has the severity error), and with 1 if
// there is none.
//
// The document is nobody's but its author's: nothing of its text can become
// another part of the config. A value is a token of its own, quoted if need be;
// one with braces, which would be replaced by something else, is left out.
//
// # Checking calls
//
// Parse keeps of a document what Document.Check needs to say which operation a
// call is, and where the call and its answer differ from it. Differences have
// places, types and keywords, but no values, which may be secrets. Formats are
// not checked, nor are patterns that are not in RE2's syntax.
//
// Document.Operations are what an API can be tested with; Operation.Request makes
// the request, of given values and the document's examples.
//
// # Bounds
//
// A document has at most 32 MiB, 128 levels, and a million parts, with what YAML's
// aliases stand for; beyond 10,000 operations, and 100 parameters of one, the rest
// is left out. References lead into the document: no file or URL is read.
// A body that is checked has at most 1 MiB, 64 levels and 100,000 parts; its
// check ends after a second, or 200,000 steps.
//
// The documents are read into a tree of this package's own, and not with a
// library's model: those work in goroutines of their own, of which a panic ends
// the whole edge, and keep all that a document has.
package openapi
