//! Reads what share of the code a test command reached. The file was within reach of the code under test, so it is bounded like every
//! other, and what contradicts itself is no share at all.

use std::collections::HashMap;

use aura_core::{CoverageFormat, Fraction};
use quick_xml::{
    Reader,
    events::{BytesStart, Event},
};

use super::head;

/// Lines of the code, and whether each was reached. One that is told of several times counts once, and was reached when any says so.
#[derive(Debug, Default)]
struct Lines {
    files: HashMap<String, usize>,
    reached: HashMap<(usize, u64), bool>,
    /// Lines that are told of as a number alone: how many, and how many of them were reached.
    counted: (u64, u64),
}

impl Lines {
    fn file(&mut self, name: &str) -> usize {
        let next = self.files.len();
        *self.files.entry(name.to_owned()).or_insert(next)
    }

    fn tell(&mut self, file: usize, line: u64, reached: bool) {
        *self.reached.entry((file, line)).or_default() |= reached;
    }

    fn count(&mut self, lines: u64, reached: u64) -> Result<(), String> {
        if reached > lines {
            return Err(format!("{reached} of {lines} lines cannot have been reached"));
        }
        self.counted = (self.counted.0.saturating_add(lines), self.counted.1.saturating_add(reached));
        Ok(())
    }

    fn share(&self) -> Result<Fraction, String> {
        let reached = self.reached.values().filter(|reached| **reached).count() as u64;
        let all = self.counted.0.saturating_add(self.reached.len() as u64);
        Fraction::of(self.counted.1.saturating_add(reached), all).ok_or_else(|| "it tells of no line".to_owned())
    }
}

/// The share of lines that were reached.
///
/// # Errors
/// In a few words, what is wrong with the file.
pub(crate) fn read(format: CoverageFormat, file: &[u8]) -> Result<Fraction, String> {
    let text = std::str::from_utf8(file).map_err(|_| "it is no text".to_owned())?;
    match format {
        CoverageFormat::Lcov => lcov(text)?.share(),
        CoverageFormat::Cobertura => cobertura(text)?.share(),
        _ => Err("this version cannot read such a file".to_owned()),
    }
}

/// What else `lcov` writes: names of tests, functions and branches.
const OTHERS: [&str; 14] =
    ["TN", "VER", "FN", "FNL", "FNA", "FNDA", "FNF", "FNH", "BRDA", "BRF", "BRH", "MCDC", "MCF", "MCH"];

fn lcov(text: &str) -> Result<Lines, String> {
    /// A file that is being told of: its number, the lines counted, those reached, and whether lines are told one by one.
    type Record = (usize, u64, u64, bool);
    let mut lines = Lines::default();
    let mut open: Option<Record> = None;
    for (at, line) in
        text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
    {
        let wrong = || format!("line {} is none of lcov's: {}", at + 1, head(line, 60));
        let (key, value) = line.split_once(':').unwrap_or((line, ""));
        match (key, &mut open) {
            ("SF", None) => open = Some((lines.file(value), 0, 0, false)),
            ("DA", Some((file, _, _, told))) => {
                let mut fields = value.split(',');
                let mut number = || fields.next()?.trim().parse::<u64>().ok();
                let (line, hits) = number().zip(number()).ok_or_else(wrong)?;
                lines.tell(*file, line, hits > 0);
                *told = true;
            }
            ("LF", Some((_, all, _, _))) => *all = value.trim().parse().map_err(|_| wrong())?,
            ("LH", Some((_, _, reached, _))) => *reached = value.trim().parse().map_err(|_| wrong())?,
            ("end_of_record", Some((_, all, reached, told))) => {
                // The lines themselves say more than their number, which has to be possible all the same.
                let (all, reached) = (*all, *reached);
                if !*told || reached > all {
                    lines.count(all, reached)?;
                }
                open = None;
            }
            (other, _) if OTHERS.contains(&other) => {}
            _ => return Err(wrong()),
        }
    }
    if open.is_some() {
        return Err("it ends before the file that it tells of".to_owned());
    }
    Ok(lines)
}

fn cobertura(text: &str) -> Result<Lines, String> {
    let mut reader = Reader::from_str(text);
    let mut lines = Lines::default();
    let (mut depth, mut total, mut class, mut in_methods) = (0_u32, None, None, false);
    loop {
        let event = reader.read_event().map_err(|error| format!("it is no XML: {}", head(&error.to_string(), 200)))?;
        let (element, is_open) = match &event {
            Event::Start(element) => (element, true),
            Event::Empty(element) => (element, false),
            Event::End(element) => {
                depth = depth.saturating_sub(1);
                match element.name().as_ref() {
                    "methods" => in_methods = false,
                    "class" => class = None,
                    _ => {}
                }
                continue;
            }
            Event::Eof => break,
            _ => continue,
        };
        match (element.name().as_ref(), depth) {
            ("coverage", 0) if total.is_none() => {
                total = Some((number(element, "lines-valid")?, number(element, "lines-covered")?));
            }
            (_, 0) => return Err("it is no report of Cobertura's".to_owned()),
            ("class", _) => class = Some(lines.file(&attribute(element, "filename")?.unwrap_or_default())),
            // Lines of methods are told of again with those of their class.
            ("methods", _) => in_methods = is_open,
            ("line", _) if !in_methods => {
                let needed = |name| number(element, name)?.ok_or_else(|| format!("a line has no {name}"));
                let file = class.ok_or_else(|| "a line belongs to no class".to_owned())?;
                lines.tell(file, needed("number")?, needed("hits")? > 0);
            }
            _ => {}
        }
        if is_open {
            depth = depth.saturating_add(1);
        }
    }
    match total {
        Some(_) if depth > 0 => return Err("it ends too early".to_owned()),
        Some((Some(all), Some(reached))) if lines.reached.is_empty() => lines.count(all, reached)?,
        Some(_) => {}
        None => return Err("it is no report of Cobertura's".to_owned()),
    }
    Ok(lines)
}

/// An attribute as it stands. They are not compared with each other, which would take the square of their number.
fn attribute(element: &BytesStart<'_>, name: &str) -> Result<Option<String>, String> {
    for attribute in element.attributes().with_checks(false) {
        let attribute = attribute.map_err(|error| format!("it is no XML: {}", head(&error.to_string(), 200)))?;
        if attribute.key.as_ref() == name {
            return Ok(Some(attribute.value.into_owned()));
        }
    }
    Ok(None)
}

fn number(element: &BytesStart<'_>, name: &str) -> Result<Option<u64>, String> {
    let text = attribute(element, name)?;
    text.map(|text| text.trim().parse().map_err(|_| format!("{name} is no number: {}", head(&text, 60)))).transpose()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lcov(text: &str) -> Result<f64, String> {
        read(CoverageFormat::Lcov, text.as_bytes()).map(Fraction::get)
    }

    fn cobertura(text: &str) -> Result<f64, String> {
        read(CoverageFormat::Cobertura, text.as_bytes()).map(Fraction::get)
    }

    /// As coverage.py and lcov write them, of the same four lines.
    const LCOV: &str =
        "TN:\nSF:solution.py\nDA:1,1\nDA:2,1,abc\nDA:3,0\nDA:5,7\nBRDA:1,0,0,-\nLF:4\nLH:3\nend_of_record\n";
    const COBERTURA: &str = r#"<?xml version="1.0" ?>
        <!DOCTYPE coverage SYSTEM "http://cobertura.sourceforge.net/xml/coverage-04.dtd">
        <coverage version="7.4" lines-valid="4" lines-covered="3" line-rate="0.75" branch-rate="0" complexity="0">
        <sources><source>/work</source></sources><packages><package name="."><classes>
        <class name="solution.py" filename="solution.py" line-rate="0.75">
        <methods><method name="f" signature=""><lines><line number="9" hits="0"/></lines></method></methods>
        <lines><line number="1" hits="1"/><line number="2" hits="1"/><line number="3" hits="0"/><line number="5" hits="7"/></lines>
        </class></classes></package></packages></coverage>"#;

    #[test]
    fn the_share_is_of_lines_that_were_reached() {
        assert_eq!(lcov(LCOV), Ok(0.75));
        assert_eq!(cobertura(COBERTURA), Ok(0.75));
        assert_eq!(lcov("SF:a\nLF:10\nLH:4\nend_of_record\nSF:b\nLF:10\nLH:10\nend_of_record\n"), Ok(0.7));
        assert_eq!(cobertura(r#"<coverage lines-valid="10" lines-covered="4"><packages/></coverage>"#), Ok(0.4));
    }

    #[test]
    fn a_line_that_is_told_of_twice_counts_once() {
        let other = LCOV.replace("DA:3,0", "DA:3,2");
        assert_eq!(lcov(&format!("{LCOV}{other}")), Ok(1.0));
        let twice = r#"<class filename="a"><lines><line number="1" hits="0"/></lines></class>"#;
        let xml = format!("<coverage>{twice}{}</coverage>", twice.replace("hits=\"0\"", "hits=\"1\""));
        assert_eq!(cobertura(&xml), Ok(1.0));
    }

    #[test]
    fn what_is_wrong_is_said_and_gives_no_share() {
        for (bad, why) in [
            ("", "no line"),
            ("SF:a\nend_of_record\n", "no line"),
            ("SF:a\nDA:1,1\n", "it ends before"),
            ("DA:1,1\n", "line 1 is none"),
            ("SF:a\nDA:1,-1\nend_of_record", "line 2 is none"),
            ("SF:a\nDA:1\nend_of_record", "line 2 is none"),
            ("SF:a\nSF:b\n", "line 2 is none"),
            ("SF:a\nDA:1,1\nLF:1\nLH:2\nend_of_record", "2 of 1 lines"),
            ("SF:a\nLF:99999999999999999999\nLH:2\nend_of_record", "line 2 is none"),
            (COBERTURA, "line 1 is none"),
            ("98 %", "line 1 is none"),
        ] {
            let said = lcov(bad).unwrap_err();
            assert!(said.contains(why), "{bad:?}: {said}");
        }
        let deep = format!("<coverage>{}", "<class>".repeat(300_000));
        let wide: String = (0..200_000).map(|n| format!(" a{n}=\"\"")).collect();
        let wide = format!("<coverage{wide} lines-valid='1'>");
        for (bad, why) in [
            ("", "no report"),
            (LCOV, "no report"),
            ("<html/>", "no report"),
            ("<coverage/><coverage/>", "no report"),
            ("<coverage>", "too early"),
            (&deep, "too early"),
            (&wide, "too early"),
            ("<coverage/>", "no line"),
            ("<coverage></html>", "no XML"),
            (r#"<coverage lines-valid="NaN" lines-covered="1"/>"#, "no number"),
            (r#"<coverage lines-valid="1" lines-covered="2"/>"#, "2 of 1"),
            (r#"<coverage><line number="1" hits="1"/></coverage>"#, "no class"),
            (r#"<coverage><class filename="a"><line number="1"/></class></coverage>"#, "no hits"),
            (r#"<coverage><class filename="a"><line number="1" hits="1e999"/></class></coverage>"#, "no number"),
        ] {
            let said = cobertura(bad).unwrap_err();
            assert!(said.contains(why), "{bad:.60}: {said}");
        }
        assert!(read(CoverageFormat::Lcov, &[0xff, 0xfe]).is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_a_reader_panic_or_gives_more_than_all(
            lcov in "((SF|DA|LF|LH|TN|x):?[0-9,a-]{0,6}\n|end_of_record\n){0,12}",
            xml in r#"(<(/?)(coverage|class|methods|lines?)( (number|hits|lines-valid|lines-covered|filename)="[0-9a]{0,2}"){0,3}/?>|[a&<"]){0,12}"#,
        ) {
            for (format, text) in [(CoverageFormat::Lcov, &lcov), (CoverageFormat::Cobertura, &xml), (CoverageFormat::Lcov, &xml)] {
                if let Ok(share) = read(format, text.as_bytes()) {
                    prop_assert!((0.0..=1.0).contains(&share.get()));
                }
            }
        }

        #[test]
        fn both_readers_give_the_share_that_was_written(files in proptest::collection::vec(proptest::collection::vec(0..3_u64, 1..8), 1..4)) {
            let (mut tracefile, mut xml) = (String::new(), String::from("<coverage>"));
            for (name, hits) in files.iter().enumerate() {
                let lines = || hits.iter().enumerate().map(|(at, hits)| (at + 1, hits));
                let told: String = lines().map(|(line, hits)| format!("DA:{line},{hits}\n")).collect();
                tracefile.push_str(&format!("SF:f{name}\n{told}end_of_record\n"));
                let told: String = lines().map(|(line, hits)| format!("<line number=\"{line}\" hits=\"{hits}\"/>")).collect();
                xml.push_str(&format!("<class filename=\"f{name}\"><lines>{told}</lines></class>"));
            }
            xml.push_str("</coverage>");
            let all: Vec<u64> = files.into_iter().flatten().collect();
            let share = Fraction::of(all.iter().filter(|hits| **hits > 0).count() as u64, all.len() as u64).map(Fraction::get);
            prop_assert_eq!(lcov(&tracefile).ok(), share);
            prop_assert_eq!(cobertura(&xml).ok(), share);
        }
    }
}
