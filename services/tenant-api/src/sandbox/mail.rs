//! E-mail: what the application would send becomes a row of the session's mailbox, in the transaction of its cause.

use std::fmt::Write;

use uuid::Uuid;

use crate::{
    http::{Call, Result},
    settings::Settings,
};

/// A message to be sent. Texts are plain; nothing in them is markup.
#[derive(Clone, Debug)]
pub struct Mail<'a> {
    /// To which address.
    pub to: &'a str,
    /// To whom.
    pub name: Option<&'a str>,
    /// One of the contract's templates.
    pub template: &'static str,
    /// Its subject.
    pub subject: String,
    /// Its paragraphs, without greeting.
    pub lines: Vec<String>,
    /// Label and application path of its main link.
    pub action: Option<(&'static str, String)>,
}

/// Puts a message into the mailbox, at the end of the request.
///
/// # Errors
/// When the database refuses.
pub async fn send(call: &Call, mail: Mail<'_>) -> Result<()> {
    send_all(call, &[mail]).await
}

/// Puts messages into the mailbox, at the end of the request.
///
/// # Errors
/// When the database refuses.
pub async fn send_all(call: &Call, mails: &[Mail<'_>]) -> Result<()> {
    if mails.is_empty() {
        return Ok(());
    }
    let settings = Settings::load(call).await?;
    let (sender, color) = (settings.text("app.name"), settings.text("theme.primaryColor"));
    let mut sql =
        String::from("INSERT INTO emails (id, to_email, to_name, template, subject, text, html, action_url) VALUES ");
    let mut values: Vec<sea_orm::Value> = Vec::with_capacity(mails.len() * 8);
    for (i, mail) in mails.iter().enumerate() {
        let first = i * 8 + 1;
        let holes: Vec<String> = (first..first + 8).map(|n| format!("${n}")).collect();
        let comma = if i == 0 { "" } else { ", " };
        // Writing to a String cannot fail.
        let _ = write!(sql, "{comma}({})", holes.join(", "));
        values.extend([
            Uuid::now_v7().into(),
            mail.to.into(),
            mail.name.map(|name| clip(name, 80)).into(),
            mail.template.into(),
            clip(&mail.subject, 200).into(),
            clip(&mail.text(), 20_000).into(),
            mail.html(&sender, &color).into(),
            mail.action.as_ref().map(|(_, path)| clip(path, 500)).into(),
        ]);
    }
    call.closing().insert("emails", &sql, values);
    Ok(())
}

impl Mail<'_> {
    fn greeting(&self) -> String {
        self.name
            .map_or_else(|| "Hello,".into(), |name| format!("Hello {name},"))
    }

    fn text(&self) -> String {
        let mut text = self.greeting();
        for line in &self.lines {
            text.push_str("\n\n");
            text.push_str(line);
        }
        if let Some((label, path)) = &self.action {
            let _ = write!(text, "\n\n{label}: {path}");
        }
        text.push('\n');
        text
    }

    /// Styles inline, no image, no address from outside.
    fn html(&self, sender: &str, color: &str) -> String {
        let mut html = format!(
            "<div style=\"max-width:560px;margin:0 auto;padding:24px;font-family:system-ui,sans-serif;color:#1f2937\">\
             <p style=\"margin:0 0 24px;font-size:18px;font-weight:600;color:{}\">{}</p><p>{}</p>",
            escape(color),
            escape(sender),
            escape(&self.greeting())
        );
        for line in &self.lines {
            let line = escape(&clip(line, 5_000)).replace('\n', "<br>");
            let _ = write!(html, "<p style=\"line-height:1.5\">{line}</p>");
        }
        if let Some((label, path)) = &self.action {
            let _ = write!(
                html,
                "<p><a href=\"{}\" style=\"display:inline-block;padding:10px 18px;border-radius:6px;background:{};\
                 color:#fff;text-decoration:none\">{}</a></p>",
                escape(path),
                escape(color),
                escape(label)
            );
        }
        html.push_str("</div>");
        html
    }
}

/// The first `max` characters.
#[must_use]
pub fn clip(text: &str, max: usize) -> String {
    text.chars().take(max).collect()
}

/// A text inside HTML, in attributes too.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_message_becomes_markup() {
        let mail = Mail {
            to: "a@b.co",
            name: Some("<b>Eve</b>"),
            template: "core.welcome",
            subject: String::new(),
            lines: vec!["1 < 2\n\"quoted\" & 'so'".into()],
            action: Some(("Open", "/x?a=1&b=\"".into())),
        };
        let html = mail.html("Tom & Co", "#123456");
        assert!(html.contains("Hello &lt;b&gt;Eve&lt;/b&gt;,") && html.contains("Tom &amp; Co"));
        assert!(html.contains("1 &lt; 2<br>&quot;quoted&quot; &amp; &#39;so&#39;"));
        assert!(html.contains("href=\"/x?a=1&amp;b=&quot;\""));
        assert_eq!(
            mail.text(),
            "Hello <b>Eve</b>,\n\n1 < 2\n\"quoted\" & 'so'\n\nOpen: /x?a=1&b=\"\n"
        );
    }
}
