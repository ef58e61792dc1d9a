// Runs before the first paint, so that no page is drawn in the wrong colours first.
(() => {
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const stored = () => {
    try {
      return localStorage.getItem("ups-theme");
    } catch {
      return null; // storage may be turned off, and a file may have none
    }
  };
  const apply = () => {
    const theme = stored() ?? (system.matches ? "dark" : "light");
    if (document.documentElement.dataset.theme === theme) return;
    document.documentElement.dataset.theme = theme;
    window.dispatchEvent(new Event("ups-theme"));
  };
  window.upsToggleTheme = () => {
    const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    try {
      localStorage.setItem("ups-theme", theme);
    } catch {
      document.documentElement.dataset.theme = theme;
      window.dispatchEvent(new Event("ups-theme"));
    }
    apply();
  };
  system.addEventListener("change", apply);
  apply();
})();
