"""The clients that users bring: Apollo, urql, Relay, gql and others against a running service. They take Node."""
