(()=>{const config=__FIRSTHAND_CONFIG__})();
