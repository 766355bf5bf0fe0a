"""Whether the page is counting down."""

from __future__ import annotations

A_TICK_CHANGES_THE_BAR = """(() => {
    const bar = document.querySelector("rect.left"), before = bar.getAttribute("width");
    tick();
    return bar.getAttribute("width") !== before;
})()"""
