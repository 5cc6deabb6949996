//! The figures as bars.

use std::path::Path;

use anyhow::anyhow;
use plotters::prelude::*;

use crate::report::Document;

const WIDTH_PX: u32 = 960;
const ROW_PX: u32 = 44;
const HEAD_PX: u32 = 110;

/// Draws the rates of all contenders, steady where it is known, with the range over the rounds.
pub(crate) fn plot(document: &Document, path: &Path) -> anyhow::Result<()> {
    let bars: Vec<_> = document
        .figures
        .iter()
        .map(|figures| (figures, figures.steady.unwrap_or(figures.whole)))
        .collect();
    let rows = u32::try_from(bars.len())?;
    let greatest = bars.iter().map(|(_, rate)| rate.max).fold(0.0, f64::max) / 1e6;
    let root = SVGBackend::new(path, (WIDTH_PX, HEAD_PX + ROW_PX * rows)).into_drawing_area();
    let failed = |error: &dyn std::fmt::Display| anyhow!("drawing {}: {error}", path.display());
    root.fill(&WHITE).map_err(|error| failed(&error))?;
    let mut chart = ChartBuilder::on(&root)
        .caption(&document.title, ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(330)
        .build_cartesian_2d(0.0..greatest * 1.12, 0..rows)
        .map_err(|error| failed(&error))?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_desc("million messages a second, without start-up (line: least to greatest)")
        .label_style(("sans-serif", 14))
        .draw()
        .map_err(|error| failed(&error))?;
    for (row, (figures, rate)) in (0_u32..).zip(bars) {
        // The first contender stands at the top.
        let at = rows - 1 - row;
        let ours = figures.contender.starts_with("Strandline");
        let colour = if ours { RGBColor(20, 110, 140) } else { RGBColor(160, 160, 150) };
        let bar = Rectangle::new([(0.0, at), (rate.median / 1e6, at + 1)], colour.filled());
        let mut bar = bar;
        bar.set_margin(8, 8, 0, 0);
        chart.draw_series([bar]).map_err(|error| failed(&error))?;
        let (pixel_x, pixel_y) = chart.backend_coord(&(0.0, at));
        let style = ("sans-serif", 14).into_text_style(&root);
        let middle = pixel_y - ROW_PX.cast_signed() / 2;
        let style = style.pos(plotters::style::text_anchor::Pos::new(
            plotters::style::text_anchor::HPos::Right,
            plotters::style::text_anchor::VPos::Center,
        ));
        root.draw_text(&figures.contender, &style, (pixel_x - 8, middle))
            .map_err(|error| failed(&error))?;
        let ends =
            [rate.min, rate.max].map(|rate| (chart.backend_coord(&(rate / 1e6, at)).0, middle));
        root.draw(&PathElement::new(ends.to_vec(), BLACK.stroke_width(2)))
            .map_err(|error| failed(&error))?;
    }
    root.present().map_err(|error| failed(&error))
}
