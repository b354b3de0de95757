use tokio_tungstenite::tungstenite::Error as WebSocketError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::auth::Withdrawn;

/// Why the server ends a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// The server shuts down.
    GoingAway,
    /// The peer broke RFC 6455.
    ProtocolError,
    /// The peer sent binary data.
    Binary,
    /// The peer sent a text that is not UTF-8.
    NotUtf8,
    /// The peer sent a longer message than is allowed.
    TooLong,
    /// The token expired.
    Expired,
    /// The token was revoked.
    Revoked,
    /// The opaque token is good for something else now.
    TokenChanged,
    /// The key that signed the token is trusted no more.
    KeyGone,
    /// Somebody who may do so sent the client away.
    Disconnected,
    /// The peer did not say in time who it is.
    NoToken,
    /// What the peer said first does not say who it is.
    NotAuth,
    /// The peer has opened its event stream again.
    Replaced,
    /// The peer sent commands faster than is allowed.
    TooManyCommands,
    /// The peer sent nothing for too long.
    Silent,
    /// What the peer needs next is no longer there.
    LagLost,
    /// The peer took no bytes for too long.
    Stalled,
}

impl Close {
    /// The code on the wire (RFC 6455 section 7.4).
    pub fn code(self) -> u16 {
        self.frame().0.into()
    }

    /// The words beside it, at most 123 bytes.
    pub fn reason(self) -> &'static str {
        self.frame().1
    }

    /// Whether the client has no right any more to what it was to get.
    pub(super) fn is_about_the_client(self) -> bool {
        matches!(
            self,
            Self::Expired | Self::Revoked | Self::TokenChanged | Self::KeyGone | Self::Disconnected
        )
    }

    pub(super) fn frame(self) -> (CloseCode, &'static str) {
        match self {
            Self::GoingAway => (CloseCode::Away, "the server is shutting down: reconnect"),
            Self::ProtocolError => (CloseCode::Protocol, "this is not RFC 6455"),
            Self::Binary => (CloseCode::Unsupported, "binary data: send text"),
            Self::NotUtf8 => (CloseCode::Invalid, "a text message must be UTF-8"),
            Self::TooLong => (CloseCode::Size, "the message is too long"),
            Self::Expired => (
                CloseCode::Policy,
                "the token has expired: reconnect with a new one",
            ),
            Self::Revoked => (
                CloseCode::Policy,
                "the token has been revoked: get another one",
            ),
            Self::TokenChanged => (
                CloseCode::Policy,
                "what the token is good for has changed: reconnect",
            ),
            Self::KeyGone => (
                CloseCode::Policy,
                "the key that signed the token is trusted no more: reconnect with a new token",
            ),
            Self::Disconnected => (CloseCode::Policy, "disconnected by an administrator"),
            Self::NoToken => (
                CloseCode::Policy,
                r#"no token came in time: send {"type":"auth","token":"…"} within 10 s"#,
            ),
            Self::NotAuth => (
                CloseCode::Policy,
                r#"the first message must be {"type":"auth","token":"…"}"#,
            ),
            Self::Replaced => (CloseCode::Normal, "the same stream was opened again"),
            Self::TooManyCommands => (CloseCode::Policy, "too many commands a second"),
            Self::Silent => (
                CloseCode::Error,
                "keep-alive lost: nothing was heard from you for too long",
            ),
            Self::LagLost => (
                CloseCode::Again,
                "you fell too far behind and missed signals: reconnect and resume",
            ),
            Self::Stalled => (
                CloseCode::Again,
                "you took no data for too long: reconnect and resume",
            ),
        }
    }
}

impl From<Withdrawn> for Close {
    fn from(withdrawn: Withdrawn) -> Self {
        match withdrawn {
            Withdrawn::Revoked => Self::Revoked,
            Withdrawn::Changed => Self::TokenChanged,
            Withdrawn::KeyGone => Self::KeyGone,
        }
    }
}

impl From<&WebSocketError> for Close {
    /// Whose fault it is decides the code; everything a peer can do wrong is named here.
    fn from(error: &WebSocketError) -> Self {
        match error {
            WebSocketError::Capacity(_) => Self::TooLong,
            WebSocketError::Utf8(_) => Self::NotUtf8,
            _ => Self::ProtocolError,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_fits_a_close_frame() {
        use Close::*;
        for close in [
            GoingAway,
            ProtocolError,
            Binary,
            NotUtf8,
            TooLong,
            Expired,
            Revoked,
            TokenChanged,
            KeyGone,
            Disconnected,
            NoToken,
            NotAuth,
            Replaced,
            TooManyCommands,
            Silent,
            LagLost,
            Stalled,
        ] {
            let reason = close.reason();
            assert!((1..=123).contains(&reason.len()), "{reason}");
        }
    }
}
