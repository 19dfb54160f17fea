//! What an uploaded file is, told from its bytes: neither its name nor what the browser says counts.

/// Types that can be uploaded, besides texts. SVG is not among them: it can carry scripts.
const BINARY: [&str; 7] = [
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
    "application/pdf",
    "video/mp4",
    "video/webm",
];
/// All types that uploads have, those of seeds too.
pub const ALL: &[&str] = &[
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
    "image/svg+xml",
    "application/pdf",
    "text/plain",
    "text/csv",
    "video/mp4",
    "video/webm",
];
/// Lines that must agree before a text is taken for a table.
const SAMPLE: usize = 5;

/// The media type of a file; `None` when it is none that is accepted.
#[must_use]
pub fn of(bytes: &[u8]) -> Option<&'static str> {
    let known = video(bytes).or_else(|| infer::get(bytes).map(|known| known.mime_type()));
    if let Some(known) = BINARY.iter().find(|mime| known == Some(**mime)) {
        return Some(known);
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let is_odd = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{c}');
    if text.chars().any(is_odd) || is_markup(text) {
        return None;
    }
    Some(if is_table(text) { "text/csv" } else { "text/plain" })
}

/// Videos of every brand and length, of which the library knows some.
fn video(bytes: &[u8]) -> Option<&'static str> {
    const EBML: &[u8] = b"\x1a\x45\xdf\xa3";
    const WEBM: &[u8] = b"\x42\x82\x84webm";
    // The document's type stands in the header, which is short.
    let header = &bytes[..bytes.len().min(64)];
    if header.starts_with(EBML) && header.windows(WEBM.len()).any(|window| window == WEBM) {
        return Some("video/webm");
    }
    let brand = header.get(8..12).filter(|_| header.get(4..8) == Some(b"ftyp"))?;
    let is_video =
        brand.starts_with(b"iso") || matches!(brand, b"hvc1" | b"cmfc" | b"M4V " | b"avc1" | b"mp41" | b"mp42");
    is_video.then_some("video/mp4")
}

/// HTML, SVG, XML: what a browser could take for a document.
fn is_markup(text: &str) -> bool {
    let mut letters = text.trim_start().chars();
    letters.next() == Some('<')
        && letters
            .next()
            .is_some_and(|c| c.is_ascii_alphabetic() || matches!(c, '!' | '?' | '/'))
}

/// Two lines at least, with equally many commas (or semicolons, or tabs) outside quotes.
fn is_table(text: &str) -> bool {
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .take(SAMPLE)
        .collect();
    let count = |line: &str, separator: char| {
        let mut is_quoted = false;
        line.chars()
            .filter(|c| {
                is_quoted ^= *c == '"';
                *c == separator && !is_quoted
            })
            .count()
    };
    lines.len() >= 2
        && [',', ';', '\t'].into_iter().any(|separator| {
            let first = count(lines[0], separator);
            first > 0 && lines.iter().all(|line| count(line, separator) == first)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_tell_the_type() {
        for (bytes, mime) in [
            (&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], "image/png"),
            (b"\xff\xd8\xff\xe0\0\x10JFIF\0", "image/jpeg"),
            (b"GIF89a\x01\0\x01\0", "image/gif"),
            (b"RIFF\x24\0\0\0WEBPVP8 ", "image/webp"),
            (b"%PDF-1.7\n", "application/pdf"),
            (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "video/mp4"),
            (b"\0\0\0\x1cftypiso7\0\0\0\0", "video/mp4"),
            (b"\x1a\x45\xdf\xa3\x93\x42\x82\x84webm\x42\x87\x81\x04", "video/webm"),
            (b"BMW sold well, say the papers.\n", "text/plain"),
            (b"I <3 you, and you?\nMe too.", "text/plain"),
            ("name;größe\n\"a;b\";2\n".as_bytes(), "text/csv"),
            (b"a,b\n1,2\n", "text/csv"),
        ] {
            assert_eq!(of(bytes), Some(mime), "{bytes:?}");
        }
    }

    #[test]
    fn programs_documents_and_noise_are_refused() {
        for bytes in [
            &b"MZ\x90\0\x03"[..],
            b"PK\x03\x04\x14\0",
            b"\x7fELF\x02",
            b"\x1a\x45\xdf\xa3\x93\x42\x82\x88matroska",
            b"\0\0\0\x1cftypheic\0\0\0\0",
            b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            b" \n<!DOCTYPE html><script>alert(1)</script>",
            "\u{feff}<?xml version='1.0'?><svg/>".as_bytes(),
            b"\xff\xfe\0t",
            b"text\0with zero",
        ] {
            assert_eq!(of(bytes), None, "{bytes:?}");
        }
    }
}
